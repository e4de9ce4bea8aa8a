app.post("/webhooks/heygen", express.raw({ type: "*/*" }), async (req, res, next) => {
  try { await handle(req.headers, req.body); } // yours: checks the signature, does the work, throws if it cannot
  catch (failed) { return next(failed); }
  res.sendStatus(200);
  const id = req.get("Heygen-Event-Id");
  await fetch("http://127.0.0.1:8710/v1/seen", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: id ? JSON.stringify({ event_id: id }) : req.body,
    signal: AbortSignal.timeout(2000),
  }).catch(() => {}); // a report that fails costs one replay
});
