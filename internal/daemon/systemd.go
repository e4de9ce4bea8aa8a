package daemon

import (
	"context"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
)

// notify tells systemd; without systemd it does nothing.
func notify(state string) { _, _ = sd.SdNotify(false, state) }

// watchdog feeds systemd's watchdog for as long as the engine moves. A daemon
// that only looks alive is killed and started again, and goes on from its last
// commit.
func (d *daemon) watchdog(ctx context.Context) error {
	interval, err := sd.SdWatchdogEnabled(false)
	if err != nil || interval == 0 {
		return nil
	}
	ticker := time.NewTicker(interval / 3)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if why := d.engine.Stuck(time.Now()); why != "" {
			d.log.Error("no progress; the watchdog is not fed", "reason", why)
			continue
		}
		notify(sd.SdNotifyWatchdog)
	}
}
