/** Text in lines that a terminal shows whole, each broken between words. Line breaks that it has stay. */
export function wrapped(text: string, columns: number): string {
  return text.replaceAll(/^.*$/gm, (line) => {
    let width = 0;
    return line.replaceAll(/ *\S+/g, (word) => {
      const bare = word.trimStart();
      const breaks = width > 0 && width + word.length > columns;
      width = breaks ? bare.length : width + word.length;
      return breaks ? `\n${bare}` : word;
    });
  });
}
