package state

import (
	"fmt"
	"time"
)

// Forget drops what is known of the receiver having some ids, and returns those of which something was known. Listed ones
// are judged anew when a walk lists them again; a twin that waits is judged by itself. why is the person's reason; "": none.
//
// A crash before the commit leaves all as it was.
func (s *Store) Forget(now time.Time, ids []string, why, who string) (found []string, err error) {
	ids = unique(ids)
	places, err := s.locate(ids)
	if err != nil {
		return nil, fmt.Errorf("forget: %w", err)
	}
	err = s.update(false, func(t *tx) error {
		found = nil
		sp := make(spent)
		for _, id := range ids {
			ok, err := t.forget(now, id, places, sp)
			if err != nil {
				return fmt.Errorf("forget %q: %w", id, err)
			}
			if ok {
				found = append(found, id)
			}
		}
		if len(found) == 0 {
			return nil
		}
		if err := t.take(sp); err != nil {
			return err
		}
		return t.noteAct(now, ManualAct{Who: who, What: "seen forget", Why: why, N: len(found), IDs: found})
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

func (t *tx) forget(now time.Time, id string, places map[string]place, sp spent) (found bool, err error) {
	old, r, err := t.reopen(id)
	if err != nil {
		return false, err
	}
	if old != nil {
		if old.status != Seen {
			return false, nil
		}
		r.status, r.proof, r.twin, r.why, r.at = Settling, None, "", "its record was forgotten: judged again", now
		r.acts = addAct(r.acts, t.nextAct())
		return true, t.saveOpen(old, r)
	}
	if err := t.unlink(id); err != nil {
		return false, err
	}
	if one, ok := t.inboxOf(id); ok {
		t.leave(sp, id, one)
		found = true
	}
	if o, ok, err := t.reportedOf(id); err != nil {
		return false, err
	} else if ok {
		if err := t.dropReported(id, o); err != nil {
			return false, err
		}
		found = true
	}
	in, err := t.forgetLine(id, places)
	return found || in, err
}

func (t *tx) forgetLine(id string, places map[string]place) (bool, error) {
	p, ok := places[id]
	if f, recent := t.recentOf(id); recent && f.status != 0 {
		p, ok = place{f.created, id}, true
	}
	if !ok {
		return false, nil
	}
	l, ok, err := t.ledgerLine(p)
	if err != nil || !ok || l.status != Seen {
		return false, err
	}
	t.moved(Change{Type: t.typeName(l.kind), Created: p.created, From: l.status})
	return true, t.dropLine(p, l)
}
