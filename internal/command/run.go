package command

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"backstop/internal/config"
	"backstop/internal/daemon"
)

func (a *app) runCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the daemon: scheduled walks and replays",
		Long: "Runs until SIGINT or SIGTERM. SIGHUP reloads the configuration; a bad file keeps the old one in\n" +
			"force. It is the only verb that opens listeners.",
		Args: cobra.NoArgs,
	}
	return verb(cmd, func(ctx context.Context, _ []string) error {
		cfg, warnings, err := a.loadForRun()
		if err != nil {
			return err
		}
		logger, level, err := a.logger(cfg)
		if err != nil {
			return err
		}
		warn(cfg, warnings, logger)
		hangup := make(chan os.Signal, 1)
		signal.Notify(hangup, syscall.SIGHUP)
		defer signal.Stop(hangup)
		return daemon.Run(ctx, daemon.Options{
			Config: cfg, Load: a.reload, Reload: hangup, Env: os.LookupEnv, Level: level, Deep: lookThrough,
			Version: version(), Logger: logger,
		})
	})
}

// loadForRun reads the configuration with the flags' log level in it, so that a
// reload keeps what the flags say.
func (a *app) loadForRun() (*config.Config, []config.Warning, error) {
	cfg, warnings, err := a.loadWarned()
	if err != nil {
		return nil, nil, err
	}
	cfg.Log.Level, err = a.level(cfg.Log.Level)
	return cfg, warnings, err
}

func (a *app) reload() (*config.Config, error) {
	cfg, _, err := a.loadForRun()
	return cfg, err
}

// warn logs what works in the configuration and had better be changed.
func warn(cfg *config.Config, warnings []config.Warning, log *slog.Logger) {
	for _, warning := range warnings {
		log.Warn("configuration", "warning", warning.String())
	}
	if err := cfg.Need("heygen.api_key"); err != nil {
		log.Warn("configuration", "warning", err.Error())
	}
	if cfg.Receiver.URL != "" && len(cfg.Receiver.Secrets) == 0 {
		log.Warn("configuration", "warning", "receiver.secret: not set, replays are not signed; set it or HEYGEN_WEBHOOK_SECRET")
	}
}
