// What Next.js does for a route handler, as far as a push needs it: a Request comes in, the handler's Response goes out,
// then what was given to after() runs. The handler is the snippet as it is; Next.js itself is in no Debian package.
import { createHmac } from "node:crypto";
import { createServer } from "node:http";
import { buffer } from "node:stream/consumers";
import { AsyncLocalStorage } from "node:async_hooks";

globalThis.handle = async (headers, body) => {
  const want = createHmac("sha256", process.env.SECRET).update(body).digest("hex");
  if (want !== (headers.get("heygen-signature") ?? headers.get("signature"))) throw new Error("not signed");
};
globalThis.afterAnswer = new AsyncLocalStorage(); // node_modules/next/server.js keeps its callbacks there

const { POST } = await import(process.env.SNIPPET);
createServer(async (req, res) => {
  const callbacks = [];
  res.on("finish", () => callbacks.forEach((callback) => callback()));
  try {
    const request = new Request(`http://${req.headers.host}${req.url}`, { method: req.method, headers: req.headers, body: req.method === "POST" ? await buffer(req) : undefined });
    const response = await afterAnswer.run(callbacks, () => POST(request));
    res.writeHead(response.status).end(Buffer.from(await response.arrayBuffer()));
  } catch {
    res.writeHead(500).end();
  }
}).listen(process.env.PORT, "127.0.0.1");
