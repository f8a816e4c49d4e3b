/** A key and a certificate for tests of TLS, made anew: nobody believes them, and none is kept. */

import { spawnSync } from "node:child_process";
import type { HttpIdentity } from "../http.ts";

export function makeIdentity(): HttpIdentity {
  const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
  const args = ["req", "-x509", ...kind, "-nodes", "-keyout", "-", "-subj", "/CN=localhost", "-days", "2"];
  const { status, stdout, stderr } = spawnSync("openssl", args, { encoding: "utf8" });
  const [key, certificate] = stdout.split(/(?=-----BEGIN CERTIFICATE-----)/);
  if (status !== 0 || certificate === undefined) throw new Error(`openssl made no certificate: ${stderr}`);
  return { key, certificate };
}
