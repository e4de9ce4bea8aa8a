package poller

import (
	"slices"
	"testing"
	"time"

	"backstop/state"
)

func TestResume(t *testing.T) {
	const lookback = 15 * time.Minute
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }
	stopped := state.Segment{Start: at(0), Horizon: at(-600), Token: "a", Ordered: true, Pages: 7}
	above := state.Segment{Start: at(60), Horizon: at(-15), Token: "b", Ordered: true, Pages: 2}
	finished := state.Segment{Start: at(60), Horizon: at(-15), Ordered: true, Pages: 2}
	shuffled := state.Segment{Start: at(0), Horizon: at(-700), Token: "c", Pages: 3}
	unbegun := state.Segment{Horizon: at(-800), Ordered: true}
	deep := func(n int) (stack []state.Segment) {
		for i := range n {
			stack = append(stack, state.Segment{Start: at(-i * 20), Horizon: at(-i*20 - 35), Token: "d", Ordered: true, Pages: 1})
		}
		return stack
	}
	tests := []struct {
		name    string
		stack   []state.Segment
		horizon time.Time
		head    time.Time // the horizon of the fresh head
		kept    int       // segments below it
	}{
		{"nothing was stopped", nil, at(-30), at(-30), 0},
		{"to the end", nil, time.Time{}, time.Time{}, 0},
		{"a stopped walk", []state.Segment{stopped}, at(-600), at(-15), 1},
		{"stopped twice", []state.Segment{above, stopped}, at(-600), at(45), 2},
		{"its head was read", []state.Segment{finished, stopped}, at(-600), at(45), 2},
		{"overtaken by the mark", []state.Segment{stopped}, at(-15), at(-15), 0},
		{"not overtaken quite", []state.Segment{stopped}, at(-16), at(-15), 1},
		{"not newest first", []state.Segment{shuffled}, at(-600), at(-700), 0},
		{"not newest first below a head", []state.Segment{finished, shuffled}, at(-600), at(-700), 0},
		{"not newest first above", []state.Segment{{Start: at(60), Token: "e", Pages: 1}, stopped}, at(-600), at(-15), 1},
		{"not begun", []state.Segment{unbegun}, at(-600), at(-800), 0},
		{"seven deep", deep(7), time.Time{}, at(-15), 7},
		{"eight deep: the newest goes", deep(8), time.Time{}, at(-35), 7},
		{"twelve deep", deep(12), time.Time{}, at(-115), 7},
	}
	for _, tt := range tests {
		got := resume(slices.Clone(tt.stack), tt.horizon, lookback)
		if !got[0].Horizon.Equal(tt.head) || got[0].Pages != 0 || got[0].Token != "" || !got[0].Ordered {
			t.Errorf("%s: head %+v, want a fresh one down to %v", tt.name, got[0], tt.head)
		}
		if kept := tt.stack[len(tt.stack)-tt.kept:]; !slices.Equal(got[1:], kept) {
			t.Errorf("%s: kept %+v, want %+v", tt.name, got[1:], kept)
		}
	}
}

func TestFoldAndProve(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }
	head := state.Segment{Start: at(60), Newest: at(59), Lowest: at(30), Horizon: at(40), Ordered: true, Pages: 3, Events: 30}
	middle := state.Segment{Start: at(50), Newest: at(48), Lowest: at(-10), Horizon: at(-5), Ordered: true, Pages: 2, Events: 20}
	last := state.Segment{Start: at(10), Newest: at(9), Lowest: at(-90), Horizon: at(-80), Ordered: true, Pages: 4, Events: 40}
	open := last
	open.Token = "more"
	toEnd := head
	toEnd.Horizon = time.Time{}
	mixed := last
	mixed.Ordered, mixed.Horizon = false, time.Time{}
	tests := []struct {
		name  string
		stack []state.Segment
		left  int
		want  proof
	}{
		{"one", []state.Segment{head}, 1, proof{at(60), at(60), at(40), at(59), at(30)}},
		{"the last one keeps its start", []state.Segment{head, last}, 2, proof{at(60), at(10), at(-80), at(59), at(-90)}},
		{"those above it become one", []state.Segment{head, middle, last}, 2, proof{at(60), at(10), at(-80), at(59), at(-90)}},
		{"one that read to the end needs none below", []state.Segment{toEnd, middle, open}, 1, proof{at(60), at(60), time.Time{}, at(59), at(30)}},
		{"one in the middle did", []state.Segment{head, mixed, open}, 2, proof{at(10), at(10), time.Time{}, at(59), at(-90)}},
		{"not newest first proves as of its start", []state.Segment{head, mixed}, 2, proof{at(10), at(10), time.Time{}, at(59), at(-90)}},
	}
	for _, tt := range tests {
		got := fold(tt.stack)
		if len(got) != tt.left || proves(got) != tt.want {
			t.Errorf("%s: %d left, proves %+v; want %d, %+v", tt.name, len(got), proves(got), tt.left, tt.want)
		}
	}
	if got := fold([]state.Segment{head, open}); len(got) != 2 {
		t.Errorf("an open segment was folded: %+v", got)
	}
}

func TestPiecesComeBack(t *testing.T) {
	tests := []struct {
		usual, resumed int
		want           []int // limits: at first, then after each smaller
	}{
		{100, 0, []int{100, 10, 1}},
		{100, 100, []int{100, 10, 1}},
		{100, 10, []int{10, 1}},
		{100, 1, []int{1}},
		{100, 50, []int{50, 10, 1}},
		{10, 0, []int{10, 1}},
		{5, 0, []int{5, 1}},
		{1, 0, []int{1}},
	}
	for _, tt := range tests {
		p := newPieces(tt.usual, tt.resumed)
		got := []int{p.limit()}
		for p.smaller() {
			got = append(got, p.limit())
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("usual %d, resumed at %d: limits %v, want %v", tt.usual, tt.resumed, got, tt.want)
		}
		rows := 0
		for !p.whole() && rows < 1000 {
			p.read(0) // an empty page counts as a row
			rows++
		}
		if rows > 100 || !p.whole() {
			t.Errorf("usual %d, resumed at %d: %d pages in pieces", tt.usual, tt.resumed, rows)
		}
	}
}
