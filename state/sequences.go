package state

import "fmt"

// checkSequences compares the number that a bucket gives out next with those it holds: the numbers of buckets are what no
// checksum covers, and one that went back would let a new record take the place of an old one.
func (t *tx) checkSequences(found *problems) {
	for name, at := range map[string]int{bucketInbox: 0, bucketPasses: 0, bucketActs: 0, bucketCredits: 8, bucketRuns: 0} {
		var highest uint64
		c := t.bucket(name).Cursor()
		for k, _ := c.First(); k != nil; k, _ = c.Next() {
			highest = max(highest, numberAt(tail(k, at)))
		}
		if next := t.bucket(name).Sequence(); next < highest {
			found.add(Problem{Bucket: name, What: fmt.Sprintf("the last number given out is %d, and there is a record %d", next, highest)})
		}
	}
	if sent, next := t.s.settings().receiver.OKSeq, t.bucket(bucketOpen).Sequence(); next < sent {
		found.add(Problem{Bucket: bucketOpen, What: fmt.Sprintf("the last attempt is number %d, and number %d was accepted", next, sent)})
	}
}
