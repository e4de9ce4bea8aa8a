// Package api is the one way to ask a running backstop for anything: the HTTP
// handler over the engine, and the client of it. The daemon serves the handler
// on its control socket, and a part of it on the admin listener; a verb that
// finds no daemon serves it to itself, in its own process. So a verb does the
// same in both cases by construction. The package judges nothing and knows no
// configuration.
//
// Lists and long work are JSON lines: one object a row, and where there is a
// summary or an error one last line with the keys "result" and "error".
package api
