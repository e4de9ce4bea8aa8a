package state

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestCheckFindsAFlippedBit(t *testing.T) {
	o := optionsIn(t)
	s := mustOpen(t, o)
	for _, day := range []int{3, 2, 1} {
		addLine(t, s, "the-event", agoDays(day))
	}
	mustDo(t, s.Act(noon(), "a tester", "a-word-to-look-for", 1))
	mustClose(t, s)
	file, err := os.ReadFile(o.Path)
	mustDo(t, err)
	// Every copy of the word, old pages too: the one that counts is among them.
	damagedFile := []byte(strings.ReplaceAll(string(file), "a-word-to-look-for", "a-word-to-look-fox"))
	replaceFile(t, o.Path, damagedFile)
	s = mustOpen(t, o)
	found, err := s.Check(t.Context(), true)
	mustDo(t, err)
	if len(found) != 1 || found[0].Bucket != bucketActs {
		t.Errorf("check found %v, want one record in %s", found, bucketActs)
	}
	// bbolt's own check sees nothing of it.
	if found, err := s.Check(t.Context(), false); err != nil || len(found) != 0 {
		t.Errorf("the quick check found %v (%v)", found, err)
	}
}

func TestCheckReadsAllOfALargeBucket(t *testing.T) {
	s := mustOpen(t, optionsIn(t))
	mustDo(t, s.update(true, func(t *tx) error {
		for i := range uint64(2*checkChunk + 10) {
			key := appendNumber(nil, i)
			value := seal(key, []byte("x"))
			if i%checkChunk == 0 {
				value[0] ^= 1
			}
			if err := t.bucket(bucketActs).Put(key, value); err != nil {
				return err
			}
		}
		t.dirty()
		return nil
	}))
	var found problems
	mustDo(t, s.checkRecords(t.Context(), &found))
	if len(found.list) != 3 {
		t.Errorf("it found %d damaged records, want 3", len(found.list))
	}
}

func TestCheckEndsWithItsContext(t *testing.T) {
	s := mustOpen(t, optionsIn(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Check(ctx, true); !errors.Is(err, context.Canceled) {
		t.Errorf("check says %v, want context.Canceled", err)
	}
	mustDo(t, s.Err())
}

func TestCheckBesideWriters(t *testing.T) {
	s := mustOpen(t, optionsIn(t))
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 25 {
				if err := s.Act(noon(), "a tester", "writes", 1); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 10 {
		mustBeClean(t, s)
	}
	all.Wait()
	mustBeClean(t, s)
}

func TestInfo(t *testing.T) {
	o := optionsIn(t)
	s := mustOpen(t, o)
	addLine(t, s, "a", agoDays(2))
	addLine(t, s, "b", agoDays(1))
	_, err := s.SetBaseline(noon())
	mustDo(t, err, s.SetPaired())
	info, err := s.Info()
	mustDo(t, err)
	if info.Path != o.Path || info.Format != 1 || info.Generation != 4 || info.APIBase != base || !info.Baseline.Equal(noon()) || !info.Paired {
		t.Errorf("info is %+v", info)
	}
	if info.Records[bucketLedger] != 2 || info.Days != 2 || info.Records[bucketDays] != 2 {
		t.Errorf("info counts %v in %d days", info.Records, info.Days)
	}
	if info.Used <= 0 || info.Used > info.Size {
		t.Errorf("%d of %d bytes are used", info.Used, info.Size)
	}
	if time.Since(info.Created) > time.Hour || len(info.UUID) != 36 {
		t.Errorf("created %v as %q", info.Created, info.UUID)
	}
}

func TestNothingIsDoneAfterClose(t *testing.T) {
	s := mustOpen(t, optionsIn(t))
	mustClose(t, s)
	mustClose(t, s)
	for name, err := range map[string]error{
		"write":    write(s, "a", true),
		"read":     s.view(func(*tx) error { return nil }),
		"walk":     s.FinishWalk(walk(time.Hour, 0)),
		"pass":     s.NotePass(Pass{}),
		"position": errorOfPosition(s),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v, want ErrClosed", name, err)
		}
	}
}

func errorOfPosition(s *Store) error {
	_, err := s.Position(walk(0, 0).Query, Poll)
	return err
}

func TestDamagedCountersAreCountedAnew(t *testing.T) {
	o := optionsIn(t)
	s := mustOpen(t, o)
	addLine(t, s, "a", agoDays(2))
	mustDo(t, s.update(false, func(t *tx) error {
		b := t.bucket(bucketMeta)
		value := append([]byte(nil), b.Get([]byte(metaCounts))...)
		value[3] ^= 0x40
		t.dirty()
		return b.Put([]byte(metaCounts), value)
	}))
	mustClose(t, s)
	s = mustOpen(t, o)
	if got := s.Counts().Status[Seen]; got != 1 {
		t.Errorf("counted %d seen, want 1", got)
	}
	mustBeClean(t, s)
}

func TestCheckFindsWrongCounters(t *testing.T) {
	s := mustOpen(t, optionsIn(t))
	mustDo(t, s.update(false, func(t *tx) error {
		t.counts().status[Missed]++
		t.dirty()
		return nil
	}))
	found, err := s.Check(t.Context(), true)
	mustDo(t, err)
	if len(found) != 1 || found[0].Bucket != bucketMeta || found[0].Key != metaCounts {
		t.Errorf("check found %v, want the counters", found)
	}
}
