//go:build !linux

package notify

func dropAmbient() error { return nil }
