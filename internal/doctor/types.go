package doctor

import (
	"context"
	"slices"

	"backstop/internal/heygen"
)

// lookTypes compares heygen.event_types with those that HeyGen says it sends. Its
// filter refuses any other.
func (p Patient) lookTypes(ctx context.Context, k known) ([]Check, known) {
	wanted := p.Listing.wanted()
	if !k.key || p.Mistaken["heygen"] || len(wanted) == 0 {
		return nil, k // all types are walked, or the lines before say why nothing is
	}
	known, err := p.Listing.API.EventTypes(ctx)
	return []Check{judgeTypes(wanted, known, err)}, k
}

// wanted are the configured types; none: all.
func (l Listing) wanted() (types []string) {
	for _, q := range l.Queries {
		if q.Type != "" {
			types = append(types, q.Type)
		}
	}
	return types
}

func judgeTypes(wanted []string, known []heygen.EventType, err error) Check {
	if err != nil {
		return warn("event types", hint(err), "HeyGen's list of types could not be read: %s", gist(err))
	}
	unknown := slices.DeleteFunc(slices.Clone(wanted), func(t string) bool {
		return slices.ContainsFunc(known, func(k heygen.EventType) bool { return k.EventType == t })
	})
	if len(unknown) > 0 {
		return fail("event types", "correct heygen.event_types; GET /v3/webhooks/event-types has those that there are", "HeyGen has no type %s", some(unknown))
	}
	return ok("event types", "HeyGen has all of heygen.event_types")
}
