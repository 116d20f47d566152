package tail

import (
	"path/filepath"
	"slices"
	"strings"
)

// compressed reports whether a name ends as compressed files do.
func compressed(name string) bool {
	for _, ext := range []string{".gz", ".bz2", ".xz", ".zst", ".lz4", ".lzma", ".lzo", ".Z", ".zip", ".7z"} {
		if strings.HasSuffix(name, ext) {
			return true
		}
	}
	return false
}

// rotated returns what a rotation put into a base name ("access.log.1", "access.log-20261124",
// "access-20261124.log"), "" for a name that is no rotation of base.
func rotated(base, name string) string {
	if compressed(name) {
		return ""
	}
	if mark := added(base, name); mark != "" {
		return mark
	}
	ext := filepath.Ext(base)
	stem := strings.TrimSuffix(base, ext)
	if ext == "" || stem == "" || !strings.HasSuffix(name, ext) {
		return ""
	}
	return added(stem, strings.TrimSuffix(name, ext))
}

// added returns the mark that follows stem in name, behind a point, hyphen or underscore.
func added(stem, name string) string {
	if !strings.HasPrefix(name, stem) || len(name) < len(stem)+2 || !strings.ContainsRune(".-_", rune(name[len(stem)])) {
		return ""
	}
	mark := name[len(stem)+1:]
	if mark == "old" || mark[0] >= '0' && mark[0] <= '9' {
		return mark
	}
	return ""
}

// oldestFirst sorts rotations by their marks: numbers count backwards, dates and stamps forwards.
// Where both occur, the time of the last change decides.
func oldestFirst(all []sibling) {
	counted := func(s sibling) bool {
		return len(s.mark) <= 5 && strings.Trim(s.mark, "0123456789") == ""
	}
	mixed := false
	for _, s := range all {
		mixed = mixed || counted(s) != counted(all[0])
	}
	slices.SortStableFunc(all, func(a, b sibling) int {
		switch {
		case mixed:
			return a.changed.Compare(b.changed)
		case counted(a):
			if len(a.mark) != len(b.mark) {
				return len(b.mark) - len(a.mark)
			}
			return strings.Compare(b.mark, a.mark)
		}
		return strings.Compare(a.mark, b.mark)
	})
}

// isRotationOf reports whether other is named as a rotation of path in the same folder.
func isRotationOf(path, other string) bool {
	return filepath.Dir(path) == filepath.Dir(other) && rotated(filepath.Base(path), filepath.Base(other)) != ""
}
