package state

import "time"

// Policy is what the state must know of the configuration to match events.
type Policy struct {
	Settle         time.Duration
	CollapseWindow time.Duration // 0: nothing is collapsed
}

// Known is everything that Judge needs about one event. The zero value says
// that nobody has ever heard of it.
type Known struct {
	Listed     time.Time // first listing; zero: not in the state
	Status     Status    // of the record in open or ledger; 0: there is none
	Proof      Proof
	At         time.Time
	Why        string // stored reason, for people
	Walking    bool   // found by a walk that has not ended; Judgeable leaves those out, so Look never sets it
	Reported   Proof  // a recorder knows the id; None otherwise
	ReportedAt time.Time
	Credit     uint64 // an anonymous push that accounts for it; 0: none
	CreditAt   time.Time
	Twin       string // the kept event of the same fact within the collapse window; "": none
	TwinStatus Status
	TwinProof  Proof
	Newer      string // a newer seen event of the same entity; "": none
	Elsewhere  bool   // Status and Proof came from a record under another created_at
}
