package main

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"stockade/cmd/stockade/config"
	"stockade/cmd/stockade/control"
)

// systemSocket is where a daemon of root listens unless it is configured otherwise.
const systemSocket = "/run/stockade/control.sock"

// dial connects to the daemon.
func (a *app) dial(ctx context.Context) (*control.Client, error) {
	socket, err := a.findSocket()
	if err != nil {
		return nil, err
	}
	return control.Dial(ctx, socket)
}

// findSocket returns --socket, or what the configuration says. A configuration that is at fault
// elsewhere still tells the socket: the daemon may run with an older one.
func (a *app) findSocket() (string, error) {
	if a.socket != "" {
		return a.socket, nil
	}
	file := a.config
	if file == "" {
		file = config.DefaultFile
	}
	f, err := os.Open(file)
	switch {
	case err == nil:
		_ = f.Close()
	case errors.Is(err, fs.ErrPermission) && a.config == "":
		return systemSocket, nil
	case errors.Is(err, fs.ErrPermission):
		return "", &codedError{err, exitPermission}
	case a.config != "":
		return "", &codedError{err, exitUsage}
	}
	l, err := config.Load(config.ProcessOptions(a.config))
	socket := l.Config.Control.Socket
	if socket == "" {
		return "", &codedError{err, exitUsage}
	}
	if len(l.Files) == 0 && os.Geteuid() != 0 && !exists(socket) && exists(systemSocket) {
		return systemSocket, nil // no daemon of one's own, but the system's
	}
	return socket, nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// ask connects, asks one question and lets go.
func ask[T any](ctx context.Context, a *app, question func(*control.Client) (T, error)) (T, error) {
	c, err := a.dial(ctx)
	if err != nil {
		var none T
		return none, err
	}
	defer c.Close()
	return question(c)
}
