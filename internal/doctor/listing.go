package doctor

import (
	"context"
	"slices"
	"time"

	"backstop/internal/heygen"
)

// readPages is how many pages of the listing are read: enough to see its order.
const readPages = 3

// read is what the first pages of the listing gave.
type read struct {
	rows  []heygen.Event
	pages int
	first int // rows of the first page
	last  bool
	bad   int
	lost  bool // a page says that more follows, and gives no cursor
	err   error
}

func (p Patient) lookListing(ctx context.Context, k known) ([]Check, known) {
	switch c, bad := p.mistaken("listing", "heygen"); {
	case bad:
		return []Check{c}, k
	case !k.key:
		return []Check{unchecked("listing", "without API and key nothing is listed")}, k
	}
	r := p.Listing.read(ctx)
	k.rows, k.listed = r.rows, r.err == nil
	return p.Listing.judgeListing(r, p.Now), k
}

// read reads pages as a walk does. What came before an error counts.
func (l Listing) read(ctx context.Context) (r read) {
	request := heygen.PageRequest{Query: l.Queries[0], Limit: l.Rows}
	for r.pages < readPages {
		page, err := l.API.Page(ctx, request)
		if err != nil {
			r.err = err
			return r
		}
		if r.pages++; r.pages == 1 {
			r.first = len(page.Events) + len(page.Bad)
		}
		r.rows, r.bad, r.last = append(r.rows, page.Events...), r.bad+len(page.Bad), page.Last
		if request.Token = page.Next; page.Last || page.Next == "" {
			r.lost = !page.Last
			return r
		}
	}
	return r
}

func (l Listing) judgeListing(r read, now time.Time) []Check {
	switch {
	case r.err != nil:
		return []Check{fail("listing", hint(r.err), "%s", gist(r.err))}
	case r.lost:
		return []Check{fail("listing", "try again; if it stays, ask HeyGen's support: walks can't be completed", "a page says that more follows, and has no cursor")}
	}
	all := []Check{l.judgeRows(r, now)}
	if len(r.rows) > 0 {
		all = append(all, l.judgeOrder(r))
	}
	if n := int64(r.bad) + l.Quarantined; n > 0 {
		all = append(all, warn("unreadable rows", "the log has a line for each; send HeyGen's support their ids. No other event is hidden by them",
			"%d among those read now, %d quarantined so far", r.bad, l.Quarantined))
	}
	return all
}

func (l Listing) judgeRows(r read, now time.Time) Check {
	if len(r.rows) == 0 {
		return warn("listing", "nothing, if HeyGen has made nothing yet; else check that the key is of the workspace that makes the videos, and heygen.event_types and heygen.entity_id",
			"it can be read, and is empty%s", l.filtered())
	}
	newest := ""
	if at := newestOf(r.rows); !at.IsZero() {
		newest = ", the newest " + now.Sub(at).Round(time.Second).String() + " old"
	}
	note := ""
	if r.first < l.Rows && !r.last && r.pages > 1 {
		note = ", fewer a page than heygen.page_size asks for"
	}
	return ok("listing", "%d events read, up to %d a page%s%s%s; types: %s", len(r.rows), l.Rows, note, newest, l.filtered(), some(typesOf(r.rows)))
}

// filtered says which part of the listing was looked at.
func (l Listing) filtered() string {
	if l.Queries[0] == (heygen.Query{}) {
		return ""
	}
	return " (of " + l.Queries[0].String() + ")"
}

func (l Listing) judgeOrder(r read) Check {
	switch order := l.Order(r.rows); order {
	case "":
		return ok("order", "too few events, or too close together, to tell; every walk measures it")
	case "newest first":
		return ok("order", "newest first: a poll reads a page or two")
	default:
		return warn("order", "nothing is lost by it; where that takes long, raise schedule.poll",
			"%s: every walk has to read the listing to its end", map[bool]string{true: order, false: "no order"}[order == "oldest first"])
	}
}

func newestOf(rows []heygen.Event) (newest time.Time) {
	for _, e := range rows {
		if e.CreatedAt.After(newest) {
			newest = e.CreatedAt
		}
	}
	return newest
}

func typesOf(rows []heygen.Event) []string {
	var types []string
	for _, e := range rows {
		types = append(types, heygen.Clean(e.Type))
	}
	slices.Sort(types)
	return slices.Compact(types)
}
