package control

// LogRequest changes how the daemon logs. An empty field stays as it is.
type LogRequest struct {
	Level  string `json:"level,omitempty"`  // debug, info, warn, error
	Target string `json:"target,omitempty"` // stderr, or the absolute path of a file, which is opened again
}

// LogState is how the daemon logs.
type LogState struct {
	Level  string `json:"level"`  // debug, info, warn, error
	Format string `json:"format"` // text or json
	Target string `json:"target"` // stderr or a path
}
