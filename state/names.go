package state

// The top-level buckets; doc.go draws what is in them.
const (
	bucketMeta        = "meta"
	bucketTypes       = "types"
	bucketOpen        = "open"
	bucketIndex       = "index"
	bucketLedger      = "ledger"
	bucketDetails     = "details"
	bucketDays        = "days"
	bucketInbox       = "inbox"
	bucketReported    = "reported"
	bucketCredits     = "credits"
	bucketCheckpoints = "checkpoints"
	bucketMarks       = "marks"
	bucketCoverage    = "coverage"
	bucketPasses      = "passes"
	bucketQuarantine  = "quarantine"
	bucketActs        = "acts"
	bucketBackfills   = "backfills"
	bucketPlanned     = "planned"
	bucketPositions   = "positions"
	bucketRuns        = "runs"
	bucketResends     = "resends"
	bucketResent      = "resent"
)

// bucketNames lists them all.
func bucketNames() []string {
	return []string{
		bucketMeta, bucketTypes, bucketOpen, bucketIndex, bucketLedger, bucketDetails, bucketDays, bucketInbox, bucketReported,
		bucketCredits, bucketCheckpoints, bucketMarks, bucketCoverage, bucketPasses, bucketQuarantine, bucketActs,
		bucketBackfills, bucketPlanned, bucketPositions, bucketRuns, bucketResends, bucketResent,
	}
}

// appendOrdered reports whether new keys of a bucket come (nearly) last, so that its pages may be filled up: half-empty
// pages would double the file and what every commit writes.
func appendOrdered(bucket string) bool {
	switch bucket {
	case bucketIndex, bucketLedger, bucketDetails, bucketInbox, bucketPasses, bucketActs, bucketCredits:
		return true
	}
	return false
}
