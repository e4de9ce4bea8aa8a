package state

import "encoding/binary"

// counts are the counters of the whole state, kept in meta so that no page and no metric has to scan a bucket. They change
// in the transaction that changes what they count.
type counts struct {
	status      [8]int64 // by Status, of open and ledger together; Seen includes baseline
	baseline    int64    // of the seen ones, those with no other proof than baseline
	quarantined int64
	unlisted    int64 // ids in inbox and reported
	credits     int64 // anonymous pushes not yet spent
	matched     int64 // reported ids that were listed later, ever
	withheld    int64 // of the missed ones, those that wait for a person since a restore
}

// countFields is how many numbers a stored counts has.
const countFields = 8 + 6

// fields are the numbers in the order in which they are stored: new ones come last.
func (c *counts) fields() [countFields]*int64 {
	var f [countFields]*int64
	for i := range c.status {
		f[i] = &c.status[i]
	}
	copy(f[len(c.status):], []*int64{&c.baseline, &c.quarantined, &c.unlisted, &c.credits, &c.matched, &c.withheld})
	return f
}

func (c *counts) encode() []byte {
	var b []byte
	for _, f := range c.fields() {
		b = binary.BigEndian.AppendUint64(b, uint64(*f))
	}
	return b
}

// add counts n records of the bucket open.
func (c *counts) add(r *record, n int64) {
	c.status[r.status] += n
	if r.withheld {
		c.withheld += n
	}
}

// decodeCounts reads what encode wrote; numbers missing at the end are zero.
func decodeCounts(b []byte) counts {
	var c counts
	for i, f := range c.fields() {
		*f = int64(numberAt(tail(b, 8*i)))
	}
	return c
}
