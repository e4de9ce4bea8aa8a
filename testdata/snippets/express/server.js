// A receiver around a snippet for Express.
const { createHmac } = require("crypto");

globalThis.express = require("express");
globalThis.app = express();
globalThis.handle = async (headers, body) => {
  const want = createHmac("sha256", process.env.SECRET).update(body).digest("hex");
  if (want !== (headers["heygen-signature"] || headers.signature)) throw new Error("not signed");
};
require(process.env.SNIPPET);
app.listen(process.env.PORT, "127.0.0.1");
