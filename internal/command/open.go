package command

import (
	"cmp"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/term"

	"backstop/internal/api"
	"backstop/internal/config"
	"backstop/internal/engine"
	"backstop/internal/exit"
	"backstop/internal/log"
)

// load reads the configuration. The values under the keys must be there, without
// keys all values. Its warnings are left out: repeated by every verb they would
// be read by nobody.
func (a *app) load(keys ...string) (*config.Config, error) {
	cfg, _, err := a.loadWarned(keys...)
	return cfg, err
}

// loadWarned is load with the warnings.
func (a *app) loadWarned(keys ...string) (*config.Config, []config.Warning, error) {
	cfg, warnings, err := config.Load(a.configOptions())
	if err == nil {
		err = cfg.Need(keys...)
	}
	if err != nil {
		return nil, warnings, exit.Wrap(exit.Config, "", err)
	}
	return cfg, warnings, nil
}

func (a *app) configOptions() config.Options {
	return config.Options{
		Path:   a.flags.config,
		Env:    os.LookupEnv,
		Checks: engine.Checks(),
	}
}

// logger makes the log of a verb, on stderr. What the flags say beats the
// configuration; the level may be changed later.
func (a *app) logger(cfg *config.Config) (*slog.Logger, *slog.LevelVar, error) {
	configured, err := a.level(cfg.Log.Level)
	if err != nil {
		return nil, nil, err
	}
	level := new(slog.LevelVar)
	level.Set(configured)
	format := cmp.Or(a.flags.logFormat, cfg.Log.Format)
	if !slices.Contains([]string{log.Auto, log.Text, log.JSON}, format) {
		return nil, nil, exit.Errorf(exit.Usage, "write auto, text or json", "--log-format %q is no format", format)
	}
	if !slices.Contains([]string{log.Auto, log.Always, log.Never}, a.flags.color) {
		return nil, nil, exit.Errorf(exit.Usage, "write auto, always or never", "--color %q is no choice", a.flags.color)
	}
	options := log.Options{Level: level, Format: format, Color: a.flags.color, Terminal: a.terminal(), Env: os.LookupEnv, Cut: a.cut}
	return log.New(a.Err, options), level, nil
}

// level is the log level that the flags ask for, else the configured one.
func (a *app) level(configured slog.Level) (slog.Level, error) {
	switch {
	case a.flags.verbose:
		return slog.LevelDebug, nil
	case a.flags.quiet:
		return slog.LevelError, nil
	case a.flags.logLevel == "":
		return configured, nil
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(a.flags.logLevel)); err != nil {
		return 0, exit.Errorf(exit.Usage, "write debug, info, warn or error", "--log-level %q is no level", a.flags.logLevel)
	}
	return level, nil
}

// terminal reports whether stderr is a terminal.
func (a *app) terminal() bool { return isTerminal(a.Err) }

func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// client gives a way to ask: the daemon where one answers, else an engine of our
// own over the state file. The values under the keys must be there.
func (a *app) client(ctx context.Context, need engine.Need, keys ...string) (*api.Client, error) {
	cfg, err := a.load(keys...)
	if err != nil {
		return nil, err
	}
	logger, _, err := a.logger(cfg)
	if err != nil {
		return nil, err
	}
	if c := daemonOf(ctx, cfg); c != nil {
		return c, nil
	}
	e, err := engine.Open(engine.Options{Config: cfg, Need: need, Version: version(), Logger: logger, Deep: lookThrough})
	if err != nil {
		return nil, err
	}
	return api.Serve(e), nil
}

// ask runs do with a client and closes it. It is for verbs that talk to nobody
// but the state.
func (a *app) ask(ctx context.Context, need engine.Need, do func(*api.Client) error) error {
	c, err := a.client(ctx, need, "state", "control", "log")
	if err != nil {
		return err
	}
	return use(c, do)
}

// send is ask for verbs that read the listing or replay: an unset variable
// anywhere in the configuration could make them do the wrong thing.
func (a *app) send(ctx context.Context, need engine.Need, do func(*api.Client) error) error {
	c, err := a.client(ctx, need)
	if err != nil {
		return err
	}
	return use(c, do)
}

func use(c *api.Client, do func(*api.Client) error) (err error) {
	defer func() {
		if closeErr := c.Close(); err == nil {
			err = closeErr
		}
	}()
	return do(c)
}

// daemonOf finds the daemon that holds the configured state; nil when none
// answers.
func daemonOf(ctx context.Context, cfg *config.Config) *api.Client {
	for _, socket := range cfg.ControlSockets() {
		if _, err := os.Stat(socket); err != nil {
			continue
		}
		c := api.Dial(socket)
		if holds(ctx, c, cfg) {
			return c
		}
		_ = c.Close()
	}
	return nil
}

// holds reports whether the daemon answers, and holds the state that this
// configuration names; one that names none takes the daemon that there is.
func holds(ctx context.Context, c *api.Client, cfg *config.Config) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	path, err := c.StatePath(ctx)
	if err != nil {
		return false
	}
	ours, err := filepath.Abs(cfg.State.Path)
	if err != nil || ours == path {
		return true
	}
	if cfg.State.Path != config.Default().State.Path {
		return false
	}
	_, err = os.Stat(ours)
	return err != nil
}
