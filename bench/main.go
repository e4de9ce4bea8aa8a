// Command bench measures backstop against what a user would write instead and
// against the machine itself, and prints the table of docs/performance.md. Every
// number is a ratio of two programs that ran in turn within one run. It never
// talks to anything but programs that it started itself, over loopback.
//
//	go run ./bench                 everything, about half an hour
//	go run ./bench -quick          a smoke run
//	go run ./bench -goals 1,2      some of it
//	go run ./bench -docs docs      and write the tables and the plot into docs
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run is the bench, or one of its peers: they are processes of their own.
func run(ctx context.Context, args []string) error {
	if len(args) == 2 && args[0] == "drop" {
		return drop(ctx, args[1])
	}
	if len(args) == 1 && args[0] == "nothing" {
		return serveNothing(ctx)
	}
	o, err := parse(args)
	if err != nil {
		return err
	}
	b, err := newBench(o)
	if err != nil {
		return err
	}
	err = b.measure(ctx)
	return errors.Join(err, b.report(), b.close())
}
