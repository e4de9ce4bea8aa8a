package state

import (
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestBaselineIsSetOnce(t *testing.T) {
	o := optionsIn(t)
	s := mustOpen(t, o)
	if at, ok := s.Baseline(); ok {
		t.Errorf("a new state has the baseline %v", at)
	}
	got, err := s.SetBaseline(noon().Add(900 * time.Millisecond))
	mustDo(t, err)
	if !got.Equal(noon()) {
		t.Errorf("it is %v, want it rounded down to %v", got, noon())
	}
	if got, err := s.SetBaseline(noon().Add(time.Hour)); err != nil || !got.Equal(noon()) {
		t.Errorf("set again it is %v (%v), want %v still", got, err, noon())
	}
	mustClose(t, s)
	if got, ok := mustOpen(t, o).Baseline(); !ok || !got.Equal(noon()) {
		t.Errorf("opened again it is %v, want %v", got, noon())
	}
}

func TestPairedIsKept(t *testing.T) {
	o := optionsIn(t)
	s := mustOpen(t, o)
	if s.Paired() {
		t.Error("a new state is paired")
	}
	mustDo(t, s.SetPaired(), s.SetPaired())
	if got := s.commitNumber.Load(); got != 1 {
		t.Errorf("pairing twice took %d commits, want 1", got)
	}
	mustClose(t, s)
	if !mustOpen(t, o).Paired() {
		t.Error("it was forgotten")
	}
}

func TestTheReceiversRecordIsKept(t *testing.T) {
	o := optionsIn(t)
	s := mustOpen(t, o)
	learned := Receiver{OKSeq: 7, OKID: "e7", OKAt: noon(), Refusals: []string{"e8"}, Misconfigured: "401", Since: noon(), NextProbe: noon(), Probes: 2}
	mustDo(t, s.update(false, func(t *tx) error { return t.setReceiver(learned) }))
	copied := s.Receiver()
	copied.Refusals[0] = "changed"
	if diff := cmp.Diff(learned, s.Receiver()); diff != "" {
		t.Errorf("a copy shares memory: %s", diff)
	}
	mustDo(t, s.PauseItself(noon(), "twenty reported ids were never listed"), s.PauseItself(noon(), "again"))
	// The outcome of what was under way when a person paused does not resume.
	mustDo(t, s.update(false, func(t *tx) error { return t.setReceiver(learned) }))
	mustClose(t, s)

	s = mustOpen(t, o)
	want := learned
	want.Paused, want.PausedAt, want.PausedBy = "twenty reported ids were never listed", noon(), "backstop"
	if diff := cmp.Diff(want, s.Receiver()); diff != "" {
		t.Errorf("paused and opened again: %s", diff)
	}
	for range 2 {
		_, err := s.Resume(noon(), "", "a tester")
		mustDo(t, err)
	}
	if diff := cmp.Diff(Receiver{OKSeq: 7, OKID: "e7", OKAt: noon(), Overruled: true}, s.Receiver()); diff != "" {
		t.Errorf("resumed: %s", diff)
	}
	acts, err := s.Acts(10)
	mustDo(t, err)
	wantActs := []ManualAct{
		{Seq: 2, At: noon(), Who: "a tester", What: "resume"},
		{Seq: 1, At: noon(), Who: "backstop", What: "pause", Why: "twenty reported ids were never listed"},
	}
	if diff := cmp.Diff(wantActs, acts); diff != "" {
		t.Errorf("what was noted: %s", diff)
	}
}

func TestAStateIsBoundToItsAPI(t *testing.T) {
	o := optionsIn(t)
	o.APIBase = ""
	mustClose(t, mustOpen(t, o)) // bound to none yet
	o.APIBase = base
	mustClose(t, mustOpen(t, o)) // bound now
	o.APIBase = base + "/"
	mustClose(t, mustOpen(t, o)) // the same one
	o.APIBase = ""
	mustClose(t, mustOpen(t, o)) // not checked
	o.APIBase = "https://api.example.net"
	_, err := Open(o)
	if !errors.Is(err, ErrForeign) {
		t.Fatalf("open says %v, want ErrForeign", err)
	}
	mustName(t, err, o.Path, base, o.APIBase, "heygen.base_url")
}

func TestANewerFormatIsRefused(t *testing.T) {
	o := optionsIn(t)
	s := mustOpen(t, o)
	mustDo(t, s.update(false, func(t *tx) error {
		return t.putMeta(metaFormat, binary.BigEndian.AppendUint32(nil, formatVersion+1))
	}))
	mustClose(t, s)
	_, err := Open(o)
	if !errors.Is(err, ErrVersion) {
		t.Fatalf("open says %v, want ErrVersion", err)
	}
	mustName(t, err, o.Path, "use the backstop that wrote it")
}

func TestMigrationsRunInOrder(t *testing.T) {
	s := mustOpen(t, optionsIn(t))
	var ran []uint32
	step := func(from uint32, err error) migration {
		return migration{from, func(*tx) error {
			ran = append(ran, from)
			return err
		}}
	}
	version := func() (v uint32) {
		mustDo(t, s.view(func(t *tx) (err error) {
			v, err = t.readFormat()
			return err
		}))
		return v
	}
	broken := errors.New("broken")
	err := s.update(false, func(t *tx) error { return t.migrate([]migration{step(0, nil), step(1, nil), step(2, broken)}) })
	if !errors.Is(err, broken) {
		t.Errorf("a broken step is answered %v", err)
	}
	if got := version(); got != 1 {
		t.Errorf("after a broken step the format is %d, want 1 still: one transaction for all", got)
	}
	ran = nil
	mustDo(t, s.update(false, func(t *tx) error { return t.migrate([]migration{step(0, nil), step(1, nil), step(2, nil)}) }))
	if diff := cmp.Diff([]uint32{1, 2}, ran); diff != "" {
		t.Errorf("the steps that ran: %s", diff)
	}
	if got := version(); got != 3 {
		t.Errorf("the format is %d, want 3", got)
	}
}

func TestEveryFormatHasItsMigration(t *testing.T) {
	for i, step := range migrations() {
		if step.from != uint32(i+1) {
			t.Errorf("migration %d begins at format %d, want %d", i, step.from, i+1)
		}
	}
	if got := len(migrations()) + 1; got != formatVersion {
		t.Errorf("the migrations lead to format %d, want %d", got, formatVersion)
	}
}

func TestTypeNumbers(t *testing.T) {
	o := optionsIn(t)
	s := mustOpen(t, o)
	number := func(name string) (n uint16) {
		mustDo(t, s.update(true, func(t *tx) (err error) {
			n, err = t.typeNumber(name)
			if err == nil && t.typeName(n) != name {
				err = errors.New("the transaction does not know what it gave out")
			}
			return err
		}))
		return n
	}
	first, second := number("avatar_video.success"), number("avatar_video.fail")
	if first == 0 || second == 0 || first == second {
		t.Errorf("numbers are %d and %d", first, second)
	}
	if got := number("avatar_video.success"); got != first {
		t.Errorf("asked again it is %d, want %d", got, first)
	}
	mustDo(t, s.update(true, func(t *tx) error {
		_, err := t.typeNumber("rolled back")
		return errors.Join(err, err)
	}))
	mustClose(t, s)
	s = mustOpen(t, o)
	mustDo(t, s.view(func(t *tx) error {
		if t.typeName(first) != "avatar_video.success" || t.typeName(second) != "avatar_video.fail" || t.typeName(0) != "" || t.typeName(999) != "" {
			return errors.New("the names changed")
		}
		return nil
	}))
}

func TestANumberIsNotGivenOutByWhatWasRolledBack(t *testing.T) {
	s := mustOpen(t, optionsIn(t))
	broken := errors.New("broken")
	err := s.update(true, func(t *tx) error {
		_, err := t.typeNumber("never")
		return errors.Join(err, broken)
	})
	if !errors.Is(err, broken) {
		t.Fatal(err)
	}
	if got := s.types.count(); got != 0 {
		t.Errorf("%d types are known, want 0", got)
	}
}

func TestSealedValues(t *testing.T) {
	sealed := seal([]byte("key"), []byte("payload"))
	if got, ok := unseal([]byte("key"), sealed); !ok || string(got) != "payload" {
		t.Errorf("it reads %q, %v", got, ok)
	}
	if _, ok := unseal([]byte("kez"), sealed); ok {
		t.Error("it holds under another key")
	}
	for i := range sealed {
		sealed[i] ^= 0x10
		if _, ok := unseal([]byte("key"), sealed); ok {
			t.Errorf("byte %d was flipped and it holds", i)
		}
		sealed[i] ^= 0x10
	}
	for n := range sumLen {
		if _, ok := unseal([]byte("key"), sealed[:n]); ok {
			t.Errorf("%d bytes hold", n)
		}
	}
}

func TestCountsAreStoredWhole(t *testing.T) {
	var c counts
	for i, f := range c.fields() {
		*f = int64(i + 1)
	}
	stored := c.encode()
	if got := decodeCounts(stored); got != c {
		t.Errorf("%+v is read as %+v", c, got)
	}
	// A shorter payload is an older one.
	older := decodeCounts(stored[:8*len(c.status)])
	if older.status != c.status || older.baseline != 0 || older.matched != 0 {
		t.Errorf("a shorter one is read as %+v", older)
	}
}
