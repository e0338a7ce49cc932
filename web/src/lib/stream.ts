// Reads answers that come in pieces: lines of NDJSON and events of SSE, wherever the network cut them.
// Both are async generators over the body of a fetch Response.

/** Yields each line without its line end (LF or CRLF); a last line without an end counts too. */
export async function* lines(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      rest += done ? decoder.decode() : decoder.decode(value, { stream: true });
      let from = 0;
      for (let end = rest.indexOf("\n", from); end >= 0; end = rest.indexOf("\n", from)) {
        yield rest.charAt(end - 1) === "\r" && end > from ? rest.slice(from, end - 1) : rest.slice(from, end);
        from = end + 1;
      }
      rest = rest.slice(from);
      if (done) {
        if (rest !== "") yield rest;
        return;
      }
    }
  } finally {
    // A reader that leaves early tells the server so.
    await reader.cancel().catch(() => undefined);
  }
}

/** Yields the data of each server-sent event; comments, names and ids are left out. */
export async function* events(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let data: string[] = [];
  for await (const line of lines(body)) {
    if (line === "") {
      if (data.length > 0) yield data.join("\n");
      data = [];
    } else if (line.startsWith("data:")) {
      data.push(line.charAt(5) === " " ? line.slice(6) : line.slice(5));
    }
  }
  if (data.length > 0) yield data.join("\n");
}

/** Yields each line of an NDJSON body as an object. */
export async function* objects<T>(body: ReadableStream<Uint8Array>): AsyncGenerator<T> {
  for await (const line of lines(body)) {
    if (line.trim() !== "") yield JSON.parse(line) as T;
  }
}
