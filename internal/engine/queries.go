package engine

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"backstop/internal/config"
	"backstop/internal/heygen"
	"backstop/internal/secret"
	"backstop/poller"
	"backstop/reconcile"
	"backstop/state"
)

// queries lists the walks that the configuration asks for: the whole listing,
// or one filtered walk per type.
func queries(cfg *config.Config) []heygen.Query {
	return queriesOf(cfg.Heygen.EventTypes, cfg.Heygen.EntityID)
}

// queriesOf lists the walks that have all events of some types (none: any) and
// an entity ("": any).
func queriesOf(types []string, entity string) []heygen.Query {
	if len(types) == 0 {
		return []heygen.Query{{Entity: entity}}
	}
	all := make([]heygen.Query, 0, len(types))
	for _, name := range types {
		all = append(all, heygen.Query{Type: name, Entity: entity})
	}
	return all
}

// askTime has the listing tell its time, which is in every answer: one request,
// of one row.
func askTime(ctx context.Context, p *parts, q heygen.Query) error {
	if _, err := p.client.Page(ctx, heygen.PageRequest{Query: q, Limit: 1}); err != nil {
		return fmt.Errorf("ask the listing for its time: %w", err)
	}
	return nil
}

// newWalkers makes one walker per query. A nil store is a preview's: it only
// reads.
func newWalkers(p *parts, store *state.Store, baseline time.Time, log *slog.Logger) ([]*poller.Walker, error) {
	var ledger poller.Ledger
	var marks map[heygen.Query]state.Position
	if store != nil {
		var err error
		if marks, err = store.Marks(); err != nil {
			return nil, fmt.Errorf("marks: %w", err)
		}
		ledger = store
	}
	var all []*poller.Walker
	for _, q := range queries(p.cfg) {
		begin := begins(q, marks, baseline)
		if begin.After(baseline) {
			log.Info("new query: older events are not walked by polls and sweeps", "query", q.String(), "from", begin)
		}
		all = append(all, poller.New(p.client, ledger, poller.Options{
			Query:         q,
			PageSize:      p.cfg.Heygen.PageSize,
			Settle:        p.cfg.Reconcile.Settle,
			Lookback:      p.cfg.Reconcile.Lookback,
			SweepLookback: p.cfg.Reconcile.SweepLookback,
			Baseline:      begin,
			Logger:        log,
		}))
	}
	return all, nil
}

// begins is where a query without a mark begins: at the baseline, or, where
// others have been walked before it, where the slowest of them stands.
func begins(q heygen.Query, marks map[heygen.Query]state.Position, baseline time.Time) time.Time {
	if _, walked := marks[q]; walked || len(marks) == 0 {
		return baseline
	}
	var all []time.Time
	for _, position := range marks {
		all = append(all, position.Mark) // zero where only an empty listing was walked: that holds the new one back, too
	}
	slowest := slices.MinFunc(all, time.Time.Compare)
	if slowest.Before(baseline) {
		return baseline
	}
	return slowest
}

// policy is how events are judged now.
func policy(cfg *config.Config, baseline, floor time.Time) reconcile.Policy {
	return reconcile.Policy{
		Settle:         cfg.Reconcile.Settle,
		CollapseWindow: cfg.Reconcile.CollapseWindow,
		Baseline:       baseline,
		Floor:          floor,
	}
}

// secretValues reads every secret; one that can't be read fails the whole, for
// a replay with half of a rotation's secrets would be refused.
func secretValues(secrets []secret.Secret) ([]string, error) {
	values := make([]string, 0, len(secrets))
	for _, s := range secrets {
		value, err := s.Value()
		if err != nil {
			return nil, fmt.Errorf("receiver secret: %w", err)
		}
		if value != "" {
			values = append(values, value)
		}
	}
	return values, nil
}
