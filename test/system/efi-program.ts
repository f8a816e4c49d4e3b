/** A UEFI program for x86-64 that says one line on the console and restarts the machine: what a test starts for an image. */

const FILE_ALIGNMENT = 512;
const SECTION_ALIGNMENT = 4096;
const HEADER_BYTES = 1024;
const PE_AT = 0x80;
const OPTIONAL_HEADER_BYTES = 240;

/** Offsets are those of the system table and of its services in the UEFI specification. */
function codeOf(line: string): Buffer {
  const before = Buffer.from(
    [
      "4883ec28", // sub rsp, 40: room for the callee, and the stack aligned
      "4889d3", // mov rbx, rdx: the system table
      "488b4a40", // mov rcx, [rdx+0x40]: ConOut
      "488d15", // lea rdx, [rip+…]: the line
    ].join(""),
    "hex",
  );
  const after = Buffer.from(
    [
      "ff5108", // call [rcx+8]: OutputString
      "488b4358", // mov rax, [rbx+0x58]: the runtime services
      "31c931d24531c04531c9", // cold reset, no status, no data
      "ff5068", // call [rax+0x68]: ResetSystem
      "f4ebfd", // hlt, for ever
    ].join(""),
    "hex",
  );
  const distance = Buffer.alloc(4);
  distance.writeInt32LE(after.length);
  return Buffer.concat([before, distance, after, Buffer.from(`${line}\r\n\0`, "utf16le")]);
}

export function efiProgram(line: string, osRelease: string): Buffer {
  const sections = [
    { name: ".text", content: codeOf(line), flags: 0x60000020 },
    { name: ".osrel", content: Buffer.from(osRelease), flags: 0x40000040 },
    { name: ".cmdline", content: Buffer.from("\0"), flags: 0x40000040 },
  ];
  const table = Buffer.alloc(40 * sections.length);
  const bodies: Buffer[] = [];
  let address = SECTION_ALIGNMENT;
  let offset = HEADER_BYTES;
  for (const [number, { name, content, flags }] of sections.entries()) {
    const body = Buffer.concat([content], Math.ceil(content.length / FILE_ALIGNMENT) * FILE_ALIGNMENT);
    const at = 40 * number;
    table.write(name, at);
    table.writeUInt32LE(content.length, at + 8);
    table.writeUInt32LE(address, at + 12);
    table.writeUInt32LE(body.length, at + 16);
    table.writeUInt32LE(offset, at + 20);
    table.writeUInt32LE(flags, at + 36);
    bodies.push(body);
    offset += body.length;
    address += SECTION_ALIGNMENT;
  }
  const header = Buffer.alloc(HEADER_BYTES);
  header.write("MZ");
  header.writeUInt32LE(PE_AT, 60);
  header.write("PE", PE_AT);
  header.writeUInt16LE(0x8664, PE_AT + 4);
  header.writeUInt16LE(sections.length, PE_AT + 6);
  header.writeUInt16LE(OPTIONAL_HEADER_BYTES, PE_AT + 20);
  header.writeUInt16LE(0x22e, PE_AT + 22);
  const optional = PE_AT + 24;
  header.writeUInt16LE(0x20b, optional);
  header.writeUInt32LE(SECTION_ALIGNMENT, optional + 16); // where it starts
  header.writeUInt32LE(SECTION_ALIGNMENT, optional + 20);
  header.writeBigUInt64LE(0x10000n, optional + 24);
  header.writeUInt32LE(SECTION_ALIGNMENT, optional + 32);
  header.writeUInt32LE(FILE_ALIGNMENT, optional + 36);
  header.writeUInt32LE(address, optional + 56);
  header.writeUInt32LE(HEADER_BYTES, optional + 60);
  header.writeUInt16LE(10, optional + 68); // a UEFI application
  header.writeUInt32LE(16, optional + 108);
  table.copy(header, optional + OPTIONAL_HEADER_BYTES);
  return Buffer.concat([header, ...bodies]);
}
