package command

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/term"

	"backstop/internal/api"
	"backstop/internal/config"
	"backstop/internal/engine"
	"backstop/internal/exit"
	"backstop/internal/heygen"
	"backstop/internal/log"
	"backstop/poller"
)

// load reads the configuration; its warnings go to stderr.
func (a *app) load() (*config.Config, error) {
	cfg, warnings, err := config.Load(a.configOptions())
	for _, warning := range warnings {
		if !a.flags.quiet && !a.json {
			fmt.Fprintf(a.Err, "backstop: warning: %s\n", warning)
		}
	}
	if err != nil {
		return nil, exit.Wrap(exit.Config, "", err)
	}
	return cfg, nil
}

func (a *app) configOptions() config.Options {
	return config.Options{
		Path:   a.flags.config,
		Env:    os.LookupEnv,
		Checks: config.Checks{Schedule: poller.CheckSpec},
	}
}

// logger makes the log of a verb, on stderr.
func (a *app) logger(cfg *config.Config) (*slog.Logger, *slog.LevelVar, error) {
	level, format := cfg.Log.Level, cfg.Log.Format
	if a.flags.logLevel != "" {
		level = a.flags.logLevel
	}
	if a.flags.logFormat != "" {
		format = a.flags.logFormat
	}
	switch {
	case a.flags.verbose:
		level = "debug"
	case a.flags.quiet:
		level = "error"
	}
	cut := heygen.CutURLs
	if a.flags.showURLs {
		cut = nil
	}
	logger, levels, err := log.New(a.Err, log.Options{
		Level: level, Format: format, Color: a.flags.color, Terminal: a.terminal(), Env: os.LookupEnv, Cut: cut,
	})
	return logger, levels, exit.Wrap(exit.Usage, "", err)
}

// terminal reports whether stderr is a terminal.
func (a *app) terminal() bool { return isTerminal(a.Err) }

// lookupEnv reads the environment.
func lookupEnv(name string) (string, bool) { return os.LookupEnv(name) }

func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// client gives a way to ask: the daemon where one answers, else an engine of our
// own over the state file.
func (a *app) client(ctx context.Context, need engine.Need) (*api.Client, error) {
	cfg, err := a.load()
	if err != nil {
		return nil, err
	}
	if c := daemonOf(ctx, cfg); c != nil {
		return c, nil
	}
	logger, _, err := a.logger(cfg)
	if err != nil {
		return nil, err
	}
	e, err := engine.Open(engine.Options{Config: cfg, Need: need, Version: version(), Logger: logger})
	if err != nil {
		return nil, err
	}
	return api.Serve(e), nil
}

// ask runs do with a client and closes it.
func (a *app) ask(ctx context.Context, need engine.Need, do func(*api.Client) error) (err error) {
	c, err := a.client(ctx, need)
	if err != nil {
		return err
	}
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

// holds reports whether the daemon answers, and is not that of another state
// than the one that lies where this configuration has its own.
func holds(ctx context.Context, c *api.Client, cfg *config.Config) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	info, err := c.StateInfo(ctx)
	if err != nil {
		return false
	}
	ours, err := filepath.Abs(cfg.State.Path)
	if err != nil || ours == info.Path {
		return true
	}
	_, err = os.Stat(ours)
	return err != nil
}
