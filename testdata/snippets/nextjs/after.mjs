// Stands in for next/server.
export const after = (callback) => globalThis.afterAnswer.getStore().push(callback);
