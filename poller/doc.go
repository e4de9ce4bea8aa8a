// Package poller walks the listing, page by page from the newest event down,
// and says when to do so. It owns the rules by which a walk may claim to have
// read everything, and the schedule. It never judges an event, never replays
// one, and keeps nothing itself: what it reads goes to a [Ledger] together with
// the checkpoint behind it.
//
// # What a walk proves
//
// A walk is complete when it has read from the first page down to its horizon,
// or to the end of the listing, by tokens alone. Only then does the mark move.
// Where the listing breaks a rule (a token that comes back, pages that repeat,
// more to come but no token) the walk ends incomplete: the mark stays, so the
// next walk reads the same stretch again, and the gap shows.
//
// # Segments
//
// A walk that was stopped leaves its checkpoint: a stack of segments, newest
// first, each one stretch of the listing read from some start down to a cursor.
// The next walk of the kind puts a fresh head on the stack, reads it down to
// where the stretch below began, and then goes on from the stopped cursor. The
// mark moves when every segment has met the one below it, and the last one its
// horizon.
package poller
