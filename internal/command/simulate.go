package command

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"backstop/internal/config"
	"backstop/internal/exit"
	"backstop/internal/simulate"
)

// simulateFlags are the flags of simulate. Shares that are not given are mild
// ones, or with --calm none.
type simulateFlags struct {
	listen string
	calm   bool
	world  simulate.Options
}

func (a *app) simulateCommand() *cobra.Command {
	var flags simulateFlags
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "Run a stand-in for HeyGen on loopback",
		Long: "Runs a stand-in for HeyGen: the listing of events, event types, endpoints and videos, and pushes that\n" +
			"get lost. It misbehaves a little by default; --calm stops that, and each fault has its flag (shares\n" +
			"from 0 to 1). GET /simulate/stats has its own books; POST /simulate/event makes an event,\n" +
			"POST /simulate/endpoints sets the list of endpoints.",
		Args: cobra.NoArgs,
	}
	flags.add(cmd)
	return a.withJSON(verb(cmd, func(ctx context.Context, _ []string) error {
		if flags.calm {
			flags.settleDown(cmd.Flags().Changed)
		}
		if flags.world.Seed == 0 {
			flags.world.Seed = rand.Uint64N(1_000_000) + 1
		}
		return a.simulate(ctx, flags)
	}))
}

func (f *simulateFlags) add(cmd *cobra.Command) {
	w, mild := &f.world, simulate.Mild()
	flags := cmd.Flags()
	flags.StringVar(&f.listen, "listen", "127.0.0.1:8720", "loopback `ADDRESS` to listen on")
	flags.BoolVar(&f.calm, "calm", false, "no fault but those that are asked for")
	flags.Uint64Var(&w.Seed, "seed", 0, "of its fortune (0: another one each time)")
	flags.IntVar(&w.Events, "events", 0, "events of history, never pushed")
	flags.DurationVar(&w.Span, "span", 24*time.Hour, "how far back the history goes")
	flags.Float64Var(&w.Rate, "rate", 1, "new events a second")
	flags.IntVar(&w.Stop, "stop", 0, "make no more new events than this (0: no end)")
	flags.StringSliceVar(&w.Types, "event-type", nil, "only these types (repeatable)")
	flags.StringVar(&w.PushURL, "push", "", "the receiver's `URL`; empty: nothing is pushed")
	flags.StringVar(&w.Secret, "secret", "", "signs the pushes")
	flags.BoolVar(&w.Legacy, "legacy", false, "push with the legacy Signature header alone, without an event id")
	flags.StringVar(&w.APIKey, "api-key", "", "required of every request")
	flags.DurationVar(&w.ClockSkew, "clock-skew", 0, "of its clock against ours")
	flags.Float64Var(&w.Lost, "lost", simulate.MildLost, "share of pushes that never arrive")
	flags.Float64Var(&w.Late, "late", simulate.MildLate, "share of pushes that arrive late")
	flags.DurationVar(&w.LateBy, "late-by", 10*time.Second, "how late")
	flags.Float64Var(&w.Doubled, "doubled", simulate.MildDoubled, "share of pushes that arrive twice")
	flags.Float64Var(&w.Twins, "twins", 0, "share of events listed a second time under another id")
	flags.DurationVar(&w.LinkLife, "link-life", 7*24*time.Hour, "how long links in events work; negative: they have expired")
	f.addFaults(cmd, mild)
}

func (f *simulateFlags) addFaults(cmd *cobra.Command, mild simulate.Faults) {
	faults, flags := &f.world.Faults, cmd.Flags()
	flags.Float64Var(&faults.TooMany, "429", mild.TooMany, "share of listing answers that are 429")
	flags.StringVar(&faults.RetryAfter, "retry-after", "1", "the Retry-After of a 429, as it is")
	flags.Float64Var(&faults.ServerError, "5xx", mild.ServerError, "share that are 5xx")
	flags.Float64Var(&faults.HTML, "html", mild.HTML, "share that are a web page with status 200")
	flags.Float64Var(&faults.Truncated, "truncated", mild.Truncated, "share that are cut off")
	flags.Float64Var(&faults.Slow, "slow", mild.Slow, "share that are held back")
	flags.DurationVar(&faults.SlowBy, "slow-by", mild.SlowBy, "how long")
	flags.Float64Var(&faults.ExpiredCursors, "expired-cursors", mild.ExpiredCursors, "share of cursors that are refused")
	flags.Float64Var(&faults.EmptyPages, "empty-pages", mild.EmptyPages, "share of pages that are empty although more follows")
	flags.StringVar(&faults.Order, "order", mild.Order, "newest, oldest or shuffled")
	flags.Float64Var(&faults.LateListing, "late-listing", mild.LateListing, "share of events that are listed late")
	flags.DurationVar(&faults.LateListingBy, "late-listing-by", mild.LateListingBy, "how late")
	flags.Float64Var(&faults.ResourceGone, "resource-gone", 0, "share of look-ups (videos, translations …) that are 404")
	flags.Float64Var(&faults.ResourceForbidden, "resource-403", 0, "share that are 403")
	flags.Float64Var(&faults.ResourceError, "resource-5xx", 0, "share that are 5xx")
	flags.Float64Var(&faults.ResourceUnfinished, "resource-unfinished", 0, "share that are still processing")
	flags.Float64Var(&faults.ResourceNull, "resource-null", 0, "share whose links are null")
	flags.Float64Var(&faults.ResourceSlow, "resource-slow", 0, "share that are held back")
	flags.DurationVar(&faults.ResourceSlowBy, "resource-slow-by", time.Second, "how long")
}

// settleDown takes the mild faults back, but for those that were asked for.
func (f *simulateFlags) settleDown(asked func(flag string) bool) {
	w, faults := &f.world, &f.world.Faults
	for name, share := range map[string]*float64{
		"lost": &w.Lost, "late": &w.Late, "doubled": &w.Doubled, "429": &faults.TooMany, "5xx": &faults.ServerError,
		"html": &faults.HTML, "truncated": &faults.Truncated, "slow": &faults.Slow, "expired-cursors": &faults.ExpiredCursors,
		"empty-pages": &faults.EmptyPages, "late-listing": &faults.LateListing,
	} {
		if !asked(name) {
			*share = 0
		}
	}
}

func (a *app) simulate(ctx context.Context, flags simulateFlags) error {
	logger, _, err := a.logger(quietly())
	if err != nil {
		return err
	}
	flags.world.Logger = logger
	if err := flags.world.Validate(); err != nil {
		return exit.Wrap(exit.Usage, "see `backstop simulate --help`", err)
	}
	if err := loopback(flags.listen); err != nil {
		return exit.Wrap(exit.Usage, "use 127.0.0.1:PORT", err)
	}
	l, err := net.Listen("tcp", flags.listen)
	if err != nil {
		return exit.Wrap(exit.Failed, "choose another --listen", err)
	}
	world := simulate.New(flags.world)
	fmt.Fprintf(a.Err, "HeyGen's stand-in serves http://%s (seed %d)\n", l.Addr(), flags.world.Seed)
	if err := serveWorld(ctx, l, world); err != nil {
		return err
	}
	stats := world.Stats()
	if a.json {
		return a.printJSON(stats)
	}
	return a.printf("%d listed, %d pushed, %d lost\n", stats.Listed, stats.Pushed, stats.Lost)
}

// quietly is a configuration for verbs that read none: the stand-in's own log
// is for those who ask for it.
func quietly() *config.Config {
	cfg := config.Default()
	cfg.Log.Level = slog.LevelWarn
	return cfg
}

// loopback refuses an address that others could reach.
func loopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); host == "localhost" || (ip != nil && ip.IsLoopback()) {
		return nil
	}
	return fmt.Errorf("%s is not on loopback", address)
}

// serveWorld serves until ctx ends, which is how a stand-in ends well.
func serveWorld(ctx context.Context, l net.Listener, world *simulate.World) error {
	server := &http.Server{Handler: world.Handler(), ReadHeaderTimeout: 5 * time.Second}
	group, running := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		<-running.Done()
		return server.Close()
	})
	group.Go(func() error { return world.Run(running) })
	return group.Wait()
}
