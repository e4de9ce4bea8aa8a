package state

import "time"

// dropUnsent is dropResends but for what is in flight, which is kept without its data until it lands. It returns how many it
// deleted.
func (t *tx) dropUnsent(id uint64) (n int64, err error) {
	b := t.sub(bucketResends, id)
	if b == nil {
		return 0, nil
	}
	var flying []*record
	c := b.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		r, ok := resend(k, v, false)
		if ok && t.flies(resendFlight(id, r.id)) {
			flying = append(flying, r)
		} else {
			n++
		}
	}
	if err := t.dropResends(id); err != nil || len(flying) == 0 {
		return n, err
	}
	b, err = t.makeSub(bucketResends, id)
	for _, r := range flying {
		if err == nil {
			err = t.put(b, r.place().key(), r.encode())
		}
	}
	return n, err
}

// resendIDs gives the ids of what waits in a run, where they are few enough for an act.
func (t *tx) resendIDs(id uint64) (ids []string) {
	b := t.sub(bucketResends, id)
	if b == nil {
		return nil
	}
	c := b.Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		if len(ids) == actNames {
			return nil
		}
		ids = append(ids, placeOf(k).id)
	}
	return ids
}

// dropLost drops what waits in a cancelled run and is in flight no more.
func (t *tx) dropLost(now time.Time, id uint64) error {
	n, err := t.dropUnsent(id)
	if n == 0 || err != nil {
		return err
	}
	r, err := t.run(id)
	if err != nil {
		return err
	}
	r.dropped(n)
	return t.endRun(now, r)
}

// abandoned reports whether a run keeps events to be sent, and none is in flight.
func (s *Store) abandoned(id uint64) (yes bool) {
	_ = s.view(func(t *tx) error { // fn gives no error
		b := t.sub(bucketResends, id)
		if b == nil {
			return nil
		}
		c := b.Cursor()
		for k, _ := c.First(); k != nil; k, _ = c.Next() {
			if t.flies(resendFlight(id, placeOf(k).id)) {
				yes = false
				return nil
			}
			yes = true
		}
		return nil
	})
	return yes
}
