package state

// Verdict is what was decided about one event.
type Verdict struct {
	ID     string
	Status Status
	Proof  Proof
	Why    string
	Credit uint64 // the anonymous push that accounts for it; 0: none
	Twin   string // the kept event of the same fact; "": none
	Lane   Lane
	Reason Reason // why it will be replayed; "": missed
}
