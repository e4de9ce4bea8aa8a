// Package simulate is a stand-in for HeyGen: a world of events with a listing, event types,
// endpoints and videos, whose pushes are signed as HeyGen signs them and get lost, delayed
// and doubled on purpose, and whose answers fail by flag.
//
// All of it comes from a seed: two worlds with the same options, asked the same things in the
// same order, answer the same bytes. History costs no memory: an event is computed from the
// seed and its position whenever it is asked for.
//
// The package never opens a listener and never sends anything but pushes to the one URL it is
// given. It shares no code with the client and the replayer it is used to test: a mistake made
// twice in the same function would not show.
package simulate
