package engine

import (
	"fmt"

	"backstop/internal/config"
	"backstop/internal/heygen"
	"backstop/reconcile"
)

// links makes what renews the links of events before they are sent; nil when
// that is not wanted. It asks through a client of its own: walks never wait for
// it, and what it is refused is no failure of a walk. The clock is the walks'.
func (e *Engine) links(cfg *config.Config, clock *heygen.Client) (reconcile.Links, error) {
	if !cfg.Replay.RefreshURLs {
		return nil, nil
	}
	client, err := heygen.New(heygen.Options{
		BaseURL:     cfg.Heygen.BaseURL,
		APIKey:      cfg.Heygen.APIKey,
		AccessToken: cfg.Heygen.AccessToken,
		Timeout:     min(cfg.Heygen.Timeout, reconcile.LookUpBudget),
		Rate:        lookUpRate(cfg),
		Version:     e.options.Version,
		Logger:      e.log,
		Transport:   e.options.API,
		Attempts:    2,
		BackoffMax:  reconcile.LookUpBudget / 4,
	})
	if err != nil {
		return nil, fmt.Errorf("heygen client of links: %w", err)
	}
	return reconcile.NewLookUps(reconcile.LookUpOptions{API: client, Now: clock.Now, Logger: e.log}), nil
}

// lookUpRate is that of the listing, or more where many replays at once would
// otherwise spend their time waiting for it: nobody waits longer than half of
// what a look-up may take. 0: no limit.
func lookUpRate(cfg *config.Config) float64 {
	if cfg.Heygen.Rate == 0 {
		return 0
	}
	return max(cfg.Heygen.Rate, float64(cfg.Replay.Concurrency)/(reconcile.LookUpBudget/2).Seconds())
}
