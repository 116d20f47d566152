package statefile

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"testing"
)

func TestSaveAndLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.state")
	var have map[string]int
	if ok, err := Load(path, "k", &have); ok || err != nil {
		t.Fatalf("no file: %v, %v", ok, err)
	}
	want := map[string]int{"a": 1}
	for range 2 {
		if err := Save(path, "k", want); err != nil {
			t.Fatal(err)
		}
	}
	if ok, err := Load(path, "k", &have); !ok || err != nil || !maps.Equal(have, want) {
		t.Fatalf("%v, %v, %v", have, ok, err)
	}
	if _, err := Load(path, "other", &have); !errors.Is(err, ErrCorrupt) {
		t.Errorf("another kind: %v", err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
}

func TestEveryDamageIsSeen(t *testing.T) {
	good := Encode("k", []byte{0x61, 'x'})
	var s string
	if err := Decode(good, "k", &s); err != nil || s != "x" {
		t.Fatal(s, err)
	}
	for n := range good {
		if err := Decode(good[:n], "k", &s); !errors.Is(err, ErrCorrupt) {
			t.Errorf("cut to %d: %v", n, err)
		}
		for bit := range 8 {
			bad := append([]byte(nil), good...)
			bad[n] ^= 1 << bit
			if err := Decode(bad, "k", &s); !errors.Is(err, ErrCorrupt) {
				t.Errorf("bit %d of byte %d: %v", bit, n, err)
			}
		}
	}
}

func TestAFailedSaveKeepsTheOldFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.state")
	if err := Save(path, "k", "old"); err != nil {
		t.Fatal(err)
	}
	if err := Save(path, "k", make([]byte, MaxSize)); err == nil {
		t.Fatal("too large a value was saved")
	}
	if err := Save(filepath.Join(dir, "none", "x"), "k", "new"); err == nil {
		t.Fatal("a file in no folder was saved")
	}
	var have string
	if ok, err := Load(path, "k", &have); !ok || err != nil || have != "old" {
		t.Errorf("%q, %v, %v", have, ok, err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(Encode("k", []byte{0x61, 'x'}))
	f.Fuzz(func(t *testing.T, data []byte) {
		var v map[string]any
		if err := Decode(data, "k", &v); err != nil && !errors.Is(err, ErrCorrupt) {
			t.Error(err)
		}
	})
}

func TestReplaceSetsTheModeAndLeavesNothingBeside(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "list")
	for _, text := range []string{"one", "two"} {
		if err := Replace(path, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if data, readErr := os.ReadFile(path); err != nil || readErr != nil || string(data) != text || info.Mode().Perm() != 0o640 {
			t.Errorf("%q, %v, %v, %v", data, info, err, readErr)
		}
	}
	if err := os.Mkdir(path+".d", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Replace(path+".d", []byte("x"), 0o640); err == nil {
		t.Error("a folder was replaced")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 2 {
		t.Errorf("%v, %v", left, err)
	}
}
