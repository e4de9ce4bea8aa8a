package state

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"
)

// checkChunk is how many records are read in one transaction of a check, which may not be long.
const checkChunk = 5000

// maxProblems bounds what Check returns: a file that is damaged all over would fill the memory.
const maxProblems = 1000

// Info describes the state file.
type Info struct {
	Path       string
	UUID       string // of this state, through all its copies
	Size       int64  // of the file, in bytes
	Used       int64  // of them hold something
	Format     int
	Generation uint64 // commits since creation
	Created    time.Time
	Committed  time.Time // the last commit; zero: not noted yet
	Lost       Range     // the time that the last restore lost; zero: there was none
	APIBase    string    // "": bound to none yet
	Baseline   time.Time
	Floor      time.Time
	Paired     bool
	Counts     Counts
	Records    map[string]int64 // by bucket; ledger and details by day are counted as a whole
	Days       int              // of the ledger
}

// Info describes the state file. It counts records page by page, in one short transaction a bucket.
func (s *Store) Info() (Info, error) {
	m := s.settings()
	info := Info{
		Path: s.options.Path, UUID: m.uuid, Format: formatVersion, Generation: s.generation.Load(), Created: m.created, Committed: m.commit, Lost: m.lost,
		APIBase: m.base, Baseline: m.baseline, Floor: m.floor, Paired: m.paired, Counts: s.Counts(), Records: make(map[string]int64),
	}
	var err error
	if info.Size, err = s.Size(); err != nil {
		return info, err
	}
	if info.Used, err = s.used(); err != nil {
		return info, err
	}
	for _, name := range bucketNames() {
		if err := s.countBucket(&info, name); err != nil {
			return info, err
		}
	}
	info.Records[bucketLedger] = m.counts.finished() - info.Records[bucketOpen]
	return info, nil
}

// Path is where the state file lies, as the options named it.
func (s *Store) Path() string { return s.options.Path }

// Size is the size of the state file in bytes.
func (s *Store) Size() (int64, error) {
	stat, err := os.Stat(s.options.Path)
	if err != nil {
		return 0, fmt.Errorf("state file: %w; put it back and start again", err)
	}
	return stat.Size(), nil
}

// countBucket counts the records of a bucket. Those of the ledger are too many to be read: they follow from the counters.
func (s *Store) countBucket(info *Info, name string) error {
	return s.view(func(t *tx) error {
		switch name {
		case bucketLedger:
			info.Days = len(t.ledgerDays())
		case bucketDetails, bucketPlanned, bucketResends, bucketResent:
			info.Records[name] = 0
			return t.bucket(name).ForEachBucket(func(day []byte) error {
				info.Records[name] += int64(t.bucket(name).Bucket(day).Stats().KeyN)
				return nil
			})
		default:
			info.Records[name] = int64(t.bucket(name).Stats().KeyN)
		}
		return nil
	})
}

// finished is how many events there are in open and ledger together.
func (c *counts) finished() (n int64) {
	for _, of := range c.status {
		n += of
	}
	return n
}

// Problem is one thing that Check found wrong.
type Problem struct {
	Bucket string // where; "": the file as a whole
	Key    string // of the record, quoted where it is not printable; "": it is about no single one
	What   string // what is wrong, for people
}

// problems collects what a check finds, up to maxProblems.
type problems struct {
	list []Problem
}

func (p *problems) add(one Problem) {
	if len(p.list) < maxProblems {
		p.list = append(p.list, one)
	}
}

// Check looks for damage: the settings, and the pages of the file as bbolt checks them, while commits wait. deep also reads
// every record and compares what must agree; that takes as long as reading the file. A damaged page may make it hang or end
// the process: where that must not happen it runs in a process of its own. At most 1,000 problems are returned.
func (s *Store) Check(ctx context.Context, deep bool) ([]Problem, error) {
	var found problems
	if err := s.checkSettings(&found); err != nil {
		return nil, err
	}
	if err := s.checkPages(ctx, &found); err != nil {
		return found.list, err
	}
	if !deep || len(found.list) > 0 {
		return found.list, ctx.Err() // with broken pages the records can't be walked safely
	}
	if err := s.checkRecords(ctx, &found); err != nil {
		return found.list, err
	}
	if len(found.list) > 0 {
		return found.list, nil // a damaged record contradicts all that it should agree with
	}
	err := s.view(func(t *tx) error { return t.checkAgreement(&found) })
	return found.list, err
}

// checkAgreement compares the buckets with each other, and the counters with what counting again gives.
func (t *tx) checkAgreement(found *problems) error {
	t.checkSequences(found)
	counted, err := t.audit(found.add)
	if err != nil {
		return err
	}
	if stored := *t.counts(); counted != stored {
		found.add(Problem{Bucket: bucketMeta, Key: metaCounts, What: fmt.Sprintf("the counters are %+v, counting again gives %+v", stored, counted)})
	}
	return nil
}

func (s *Store) checkSettings(found *problems) error {
	// Read before the state: a commit between the two makes the state newer, which is fine.
	var side *sideFile
	var err error
	if !s.options.copied {
		side, err = readSide(s.options.Path)
	}
	if err != nil {
		found.add(Problem{What: err.Error()})
	}
	return s.view(func(t *tx) error {
		m, generation, err := t.readMeta()
		if err != nil {
			found.add(Problem{Bucket: bucketMeta, What: err.Error()})
			return nil
		}
		for what, bad := range map[string]bool{
			"the state has no uuid":                   m.uuid == "",
			"the time of creation is missing":         m.created.IsZero(),
			"the floor lies ahead of the newest mark": !m.floor.IsZero() && m.floor.After(s.notes.newestMark()),
			"the side file knows of later commits":    side != nil && side.Generation > generation,
			"the side file knows of a later restore":  judgeRestored(s.options.Path, side, m.lost) != nil,
		} {
			if bad {
				found.add(Problem{Bucket: bucketMeta, What: what})
			}
		}
		for _, name := range bucketNames() {
			if t.bucket(name) == nil {
				found.add(Problem{Bucket: name, What: "the bucket is missing"})
			}
		}
		return nil
	})
}

func (n *notes) newestMark() (mark time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, w := range n.walked {
		mark = later(mark, w.mark)
	}
	return mark
}

// checkPages runs bbolt's own check in a turn of the writers: it reads the list of free pages, which a commit changes. What
// it says is read to its end whatever ctx says, for it can't be stopped.
func (s *Store) checkPages(ctx context.Context, found *problems) error {
	check := func(t *tx) error {
		for err := range t.bolt.Check() {
			found.add(Problem{What: strings.TrimPrefix(err.Error(), "panic: ")}) // bbolt catches those of its own
		}
		return ctx.Err()
	}
	err := s.update(false, check)
	if errors.Is(err, ErrLatched) {
		return s.view(check) // nobody writes any more
	}
	return err
}

// checkRecords verifies the checksum of every record, a part of a bucket at a time.
func (s *Store) checkRecords(ctx context.Context, found *problems) error {
	for _, name := range bucketNames() {
		if err := s.checkBucket(ctx, found, path{name, nil}); err != nil {
			return err
		}
	}
	return nil
}

// path names a bucket, or the sub-bucket of one of its days.
type path struct {
	name string
	day  []byte // nil: the bucket itself
}

func (t *tx) at(p path) *bbolt.Bucket {
	b := t.bucket(p.name)
	if b == nil || p.day == nil {
		return b
	}
	return b.Bucket(p.day)
}

func (s *Store) checkBucket(ctx context.Context, found *problems, p path) error {
	var from []byte
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		var days [][]byte
		err := s.view(func(t *tx) error {
			from, days = t.checkSome(found, p, from)
			return nil
		})
		if err != nil {
			return err
		}
		for _, day := range days {
			if err := s.checkBucket(ctx, found, path{p.name, day}); err != nil {
				return err
			}
		}
		if from == nil {
			return nil
		}
	}
}

// checkSome checks the records of a bucket beginning at a key. It returns the key to go on with, nil at the end, and the
// sub-buckets it met.
func (t *tx) checkSome(found *problems, p path, from []byte) (next []byte, days [][]byte) {
	b := t.at(p)
	if b == nil {
		return nil, nil // pruned meanwhile
	}
	c := b.Cursor()
	k, v := c.Seek(from)
	for n := 0; k != nil; k, v = c.Next() {
		if n == checkChunk {
			return slices.Clone(k), days
		}
		n++
		if v == nil {
			days = append(days, slices.Clone(k))
			continue
		}
		if _, ok := unseal(k, v); !ok {
			found.add(Problem{Bucket: p.name, Key: printable(string(k)), What: errBadRecord.Error()})
		}
	}
	return nil, days
}
