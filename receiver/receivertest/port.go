package receivertest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// FreePort returns a port of 127.0.0.1 that nothing listens on, for TCP and UDP. It lies below the
// ports that the kernel gives to outgoing connections (32768 and up), so that nothing takes it by
// chance before the test does, or while a server is restarted on it.
func FreePort(t testing.TB) int {
	t.Helper()
	const lowest, highest = 20000, 32767
	for range 1000 {
		port := lowest + rand.IntN(highest-lowest+1) //nolint:gosec // chance is all that is wanted
		address := fmt.Sprintf("127.0.0.1:%d", port)
		stream, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		datagrams, err := net.ListenPacket("udp", address)
		_ = stream.Close()
		if err == nil {
			_ = datagrams.Close()
			return port
		}
	}
	t.Fatal("no port is free for both TCP and UDP")
	return 0
}
