package state

import (
	"cmp"
	"errors"
	"slices"
	"time"
)

// sorted is the payload of an id in the bucket reported. An import is not taken out when it is listed, because each would
// cost a page; it lapses by retention. An aged report is: few are listed that late, and the rest is counted as unlisted.
type sorted struct {
	proof Proof
	at    time.Time
	moved bool // when it was aged the listing had moved on past it
}

func (o sorted) encode() []byte { return appendBool(appendTime([]byte{byte(o.proof)}, o.at), o.moved) }

func decodeSorted(b []byte) sorted {
	h := reader(b)
	return sorted{Proof(h.one()), timeAt(h.take(8)), h.one() != 0}
}

// reportedOf returns what is known of an id from an import or an older report.
func (t *tx) reportedOf(id string) (sorted, bool, error) {
	b := t.bucket(bucketReported)
	payload, ok, err := t.get(b, []byte(id))
	if errors.Is(err, errBadRecord) {
		return sorted{}, false, t.spoilReported(id)
	}
	if !ok || err != nil {
		return sorted{}, false, err
	}
	return decodeSorted(payload), true, nil
}

func (t *tx) spoilReported(id string) error {
	if !t.bolt.Writable() {
		return nil
	}
	if err := t.spoil(t.bucket(bucketReported), []byte(id), id); err != nil {
		return err
	}
	t.recount()
	return nil
}

// addReported stores ids in sorted order, so that neighbours share pages. moved: the listing has moved on past them. Of what
// came before the baseline it need not say anything.
func (t *tx) addReported(list []named, moved bool) error {
	baseline, _ := t.s.Baseline()
	slices.SortFunc(list, func(a, b named) int { return cmp.Compare(a.id, b.id) })
	for _, n := range list {
		o := sorted{n.proof, n.at, moved && n.proof != Import && !n.at.Before(baseline)}
		if err := t.countReported(o, 1); err != nil {
			return err
		}
		if err := t.put(t.bucket(bucketReported), []byte(n.id), o.encode()); err != nil {
			return err
		}
	}
	return nil
}

// dropReported takes an id out.
func (t *tx) dropReported(id string, o sorted) error {
	if err := t.countReported(o, -1); err != nil {
		return err
	}
	return t.delete(t.bucket(bucketReported), []byte(id))
}

// metaUnmatched is where meta counts the aged reports that the listing moved past.
const metaUnmatched = "unmatched"

func (t *tx) countReported(o sorted, n int64) error {
	if o.proof == Import {
		return nil
	}
	t.counts().unlisted += n
	if !o.moved {
		return nil
	}
	return t.put(t.bucket(bucketMeta), []byte(metaUnmatched), appendNumber(nil, uint64(t.unmatched()+n)))
}

func (t *tx) unmatched() int64 {
	payload, _, err := t.get(t.bucket(bucketMeta), []byte(metaUnmatched))
	if err != nil {
		return 0
	}
	return int64(numberAt(payload))
}

// Mismatch says whether reported ids are those of the listing. An id counts as unlisted when it was reported by a recorder
// (not imported) more than an hour ago and no page has listed it, though every query that was walked completely in the
// last day has its mark more than five minutes past the time at which it was received. matched counts the reported ids that
// did meet their event, ever. Many unlisted and few matched mean that the receiver reports other ids than the listing has.
func (s *Store) Mismatch(now time.Time) (unlisted, matched int, err error) {
	if err := s.age(now); err != nil {
		return 0, 0, err
	}
	err = s.view(func(t *tx) error {
		unlisted, matched = int(t.unmatched()), int(t.counts().matched)
		return nil
	})
	return unlisted, matched, err
}
