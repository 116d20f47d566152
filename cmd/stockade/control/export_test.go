package control

import (
	"log/slog"
	"net/http"
)

// recorder notes routes.
type recorder []string

// Handle implements muxer.
func (r *recorder) Handle(pattern string, _ http.Handler) { *r = append(*r, pattern) }

// Routes are the patterns of all requests that are served, but for the one that catches the rest.
func Routes(s Services) (list []string) {
	var r recorder
	(&handler{s: s, log: slog.New(slog.DiscardHandler)}).routes(&r)
	for _, p := range r {
		if p != "/" {
			list = append(list, p)
		}
	}
	return list
}
