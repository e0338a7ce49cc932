// The browser's own database, as promises: conversations stay on the machine of whoever had them.
// One database for each signed-in identity, so that people who share a browser do not meet each other's lists.

export const kStores = { conversations: "conversations", nodes: "nodes", tokens: "tokens", settings: "settings" } as const;
export type StoreName = keyof typeof kStores;

let opened: Promise<IDBDatabase> | null = null;
let name = "freehold";

/** Says whose database the next request opens. */
export function use_identity(tenant: string, key_name: string): void {
  const next = tenant === "" && key_name === "" ? "freehold" : `freehold/${encodeURIComponent(tenant)}/${encodeURIComponent(key_name)}`;
  if (next === name) return;
  void opened?.then((database) => database.close()).catch(() => undefined);
  opened = null;
  name = next;
}

function database(): Promise<IDBDatabase> {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => {
      const made = request.result;
      made.createObjectStore(kStores.conversations, { keyPath: "id" });
      made.createObjectStore(kStores.nodes, { keyPath: "id" }).createIndex("conversation", "conversation");
      made.createObjectStore(kStores.tokens, { keyPath: "id" }).createIndex("conversation", "conversation");
      made.createObjectStore(kStores.settings, { keyPath: "id" });
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(new Error(`This browser does not let the page keep conversations (${request.error?.message ?? "no reason given"}).`));
  });
  return opened;
}

function result<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("The browser's database gave no reason."));
  });
}

function finished(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error ?? new Error("The browser's database gave the change up."));
  });
}

export async function get<T>(store: StoreName, id: string): Promise<T | undefined> {
  return result((await database()).transaction(store).objectStore(store).get(id) as IDBRequest<T | undefined>);
}

export async function all<T>(store: StoreName): Promise<T[]> {
  return result((await database()).transaction(store).objectStore(store).getAll() as IDBRequest<T[]>);
}

export async function of_conversation<T>(store: "nodes" | "tokens", conversation: string): Promise<T[]> {
  const index = (await database()).transaction(store).objectStore(store).index("conversation");
  return result(index.getAll(conversation) as IDBRequest<T[]>);
}

export async function put(store: StoreName, value: unknown): Promise<void> {
  const transaction = (await database()).transaction(store, "readwrite");
  transaction.objectStore(store).put(value);
  return finished(transaction);
}

/** Puts many values at once: all of them or none. */
export async function put_all(values: readonly (readonly [StoreName, unknown])[]): Promise<void> {
  const transaction = (await database()).transaction([...new Set(values.map(([store]) => store))], "readwrite");
  for (const [store, value] of values) transaction.objectStore(store).put(value);
  return finished(transaction);
}

/** Removes a conversation with all that belongs to it, or nothing. */
export async function remove_conversation(id: string): Promise<void> {
  const transaction = (await database()).transaction(["conversations", "nodes", "tokens"], "readwrite");
  transaction.objectStore("conversations").delete(id);
  for (const store of ["nodes", "tokens"]) {
    const keys = transaction.objectStore(store).index("conversation").getAllKeys(id);
    keys.onsuccess = () => {
      for (const key of keys.result) transaction.objectStore(store).delete(key);
    };
  }
  return finished(transaction);
}

/** Calls `visit` with every node of every conversation, one at a time. */
export async function each_node<T>(visit: (node: T) => void): Promise<void> {
  const request = (await database()).transaction("nodes").objectStore("nodes").openCursor();
  return new Promise((resolve, reject) => {
    request.onerror = () => reject(request.error ?? new Error("The browser's database gave no reason."));
    request.onsuccess = () => {
      const cursor = request.result;
      if (!cursor) return resolve();
      visit(cursor.value as T);
      cursor.continue();
    };
  });
}
