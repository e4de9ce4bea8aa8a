package state

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Restoration is what a restore did.
type Restoration struct {
	Path     string   // of the state
	Aside    []string // where what was there before lies now
	Lost     Range    // zero: nothing was lost
	Withheld int      // events that were about to be sent by the copy
	Begun    bool     // the copy had its first run; else the next run is one, and sets the baseline
}

// Copy is the copy of a state.
type Copy struct {
	Name string    // of the file, or of From
	From io.Reader // nil: the file
}

// Restore puts a copy of a state in the place of the one that is damaged, lost or refused, and accepts that what came after
// the copy is lost: what that may have sent is withheld. The copy stays as it is, and may be the very file at o.Path. Nobody
// may use either. o.Deep looks at the copy first.
//
// All work is done on a draft beside the state, which then takes its place in one step. A kill before it leaves what there was,
// which is refused with the same remedy as before; a kill after it leaves the restored state. What there was is kept under a
// second name.
func Restore(ctx context.Context, o Options, file Copy, who string) (Restoration, error) {
	o = o.withDefaults()
	if err := checkDirectory(filepath.Dir(o.Path)); err != nil {
		return Restoration{}, err
	}
	present, err := lockPresent(o)
	if err != nil {
		return Restoration{}, err
	}
	if present != nil {
		defer present.Close()
		clearLeftovers(o.Path)
	}
	if err := sideIsOurs(o.Path); err != nil {
		return Restoration{}, err
	}
	draft, err := draftOf(ctx, o, file, present)
	if err != nil {
		return Restoration{}, ofCopy(err)
	}
	defer os.Remove(draft)
	done, side, err := prepareDraft(ctx, o, draft, file.Name, who)
	if err != nil {
		return done, nameCopy(ofCopy(err), draft, file.Name)
	}
	p := &placing{o: o, draft: draft, side: side, vacant: present == nil, stamp: ".old-" + time.Now().UTC().Format("20060102T150405Z")}
	err = p.run()
	done.Path, done.Aside = o.Path, p.aside
	return done, err
}

// prepareDraft looks at the draft closely and writes the restore into it. It returns the side file that belongs to it then.
func prepareDraft(ctx context.Context, o Options, draft, file, who string) (done Restoration, side sideFile, err error) {
	defer os.Remove(sidePath(draft)) // of whoever looked at it
	if err := checkDraft(draft); err != nil {
		return done, side, err
	}
	if err := lookAtDraft(ctx, o, draft); err != nil {
		return done, side, err
	}
	before, err := readSide(o.Path)
	if errors.Is(err, ErrDamaged) {
		before, err = nil, nil // a side file that says nothing: it is replaced
	}
	if err != nil {
		return done, side, err
	}
	s, err := openDraft(o, draft)
	if err != nil {
		return done, side, err
	}
	done, err = s.restore(before, time.Now(), file, who)
	m := s.settings()
	side = sideFile{Format: sideFormat, State: m.uuid, Generation: s.generation.Load(), Clean: true, Restored: restoredAt(m.lost)}
	return done, side, errors.Join(err, s.Close())
}

// checkDraft looks at the shape of what was copied, which may have come from a pipe.
func checkDraft(draft string) error {
	f, err := os.Open(draft)
	if err != nil {
		return fmt.Errorf("copy of the state: %w; try again", err)
	}
	defer f.Close()
	return checkShape(f)
}

// lookAtDraft has another process read every record of the draft. What that says of damaged pages is for the log: it can be long, and
// of the insides of bbolt.
func lookAtDraft(ctx context.Context, o Options, draft string) error {
	if o.Deep == nil {
		return nil
	}
	err := o.Deep(ctx, draft)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil, errors.Is(err, ErrDamaged):
		return err
	}
	o.Logger.Debug("the copy was looked at", "error", err)
	return fmt.Errorf("%w: %s: some of its pages or records can't be read; restore another copy", ErrDamaged, draft)
}

// openDraft opens a draft as a state that has no side file.
func openDraft(o Options, draft string) (*Store, error) {
	o.Path, o.copied = draft, true
	f, err := openLocked(draft, o.LockTimeout)
	if err != nil {
		return nil, err
	}
	return openStore(f, nil, o)
}

// restore makes a copy fit to be the state: what may have been sent since is withheld, the lost time is noted, and its number
// is ahead of what it replaces, so that this is noticed when it comes back.
func (s *Store) restore(side *sideFile, now time.Time, file, who string) (Restoration, error) {
	lost, err := s.lostTime(side, now)
	if err != nil {
		return Restoration{}, err
	}
	done := Restoration{Lost: lost, Begun: s.settings().begun}
	if !lost.To.IsZero() {
		if done.Withheld, err = s.withholdAll(now, lost); err != nil {
			return done, err
		}
	}
	if side != nil && side.Generation > s.generation.Load() {
		s.generation.Store(side.Generation)
	}
	err = s.update(false, func(t *tx) error {
		if err := t.act(now, who, "restore from "+file, done.Withheld); err != nil || lost.To.IsZero() {
			return err
		}
		if err := t.unconfirmBackfills(); err != nil {
			return err
		}
		t.after(func() { s.change(func(m *settings) { m.lost = lost }) })
		return t.putMeta(metaRestored, encodeLost(lost))
	})
	return done, err
}

// nameCopy tells an error about a draft by the name that the person knows.
func nameCopy(err error, draft, file string) error {
	return &renamed{text: strings.ReplaceAll(err.Error(), draft, file), err: err}
}

// renamed is an error in other words.
type renamed struct {
	text string
	err  error
}

func (r *renamed) Error() string { return r.text }
func (r *renamed) Unwrap() error { return r.err }
