// Text files that go along with a question: read here, checked to be text, never sent anywhere but to the model.
// A file that is not UTF-8 text or too long is refused with a sentence.
import type { Attachment } from "./tree";

export const kLargestFile = 1_000_000;

export async function read_file(file: File): Promise<Attachment> {
  if (file.size > kLargestFile) {
    throw new Error(`${file.name} has ${Math.ceil(file.size / 1e6)} MB; a file that goes along with a question may have 1 MB. Cut out the part that matters.`);
  }
  const raw = new Uint8Array(await file.arrayBuffer());
  if (raw.includes(0)) throw new Error(`${file.name} is not text. Text files in UTF-8 can go along: .txt, .md, .csv, .json, source code.`);
  try {
    return { name: file.name, text: new TextDecoder("utf-8", { fatal: true }).decode(raw) };
  } catch {
    throw new Error(`${file.name} is not UTF-8 text. Save it as UTF-8 and attach it again.`);
  }
}
