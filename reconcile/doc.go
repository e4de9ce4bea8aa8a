// Package reconcile decides what the receiver is missing and sends it.
//
// It owns two things. Judging compares what a walk listed with what is known of
// the receiver; the decision itself, Judge, is a pure function, so that a
// preview says exactly what the daemon would do. Replaying POSTs each missed
// event to the receiver, byte for byte as it was listed, until the receiver has
// it or replay gives up; what an answer means is a pure function, too: Decide.
//
// Each attempt is written down before it is made and its outcome afterwards, in
// two transactions of the state. A crash between them costs one duplicate for
// each attempt that was in flight, and never an event.
//
// The package never walks the listing, never talks to HeyGen, and keeps nothing
// durable of its own.
package reconcile
