package config

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// setLeaf decodes a scalar into a settable value of the shape's type. The errors hold the
// offending text and what is legal, without the path.
func setLeaf(v reflect.Value, s *shape, n *node) error {
	switch s.leaf {
	case stringLeaf:
		if err := checkString(n); err != nil {
			return err
		}
		v.SetString(n.text)
		return nil
	case durationLeaf:
		d, err := ParseDuration(n.text)
		if err != nil {
			return err
		}
		v.SetInt(int64(d))
		return nil
	}
	if !n.plain {
		return fmt.Errorf("%s is text; write it without quotes", clip(n.text))
	}
	switch s.leaf {
	case boolLeaf:
		return setBool(v, n.text)
	case floatLeaf:
		return setFloat(v, n.text)
	default:
		return setInt(v, s, n.text)
	}
}

// checkString refuses plain scalars that only look like text to their writer.
func checkString(n *node) error {
	switch {
	case !n.plain:
		return nil
	case n.text == "true" || n.text == "false":
		return fmt.Errorf("%s is a boolean where text is wanted; quote it if you mean the word", n.text)
	case looksOctal(n.text):
		return fmt.Errorf(`%s can be read as octal; write it in quotes: "%[1]s"`, n.text)
	}
	return nil
}

// looksOctal reports whether a plain scalar is a number with a leading zero, which some YAML
// readers take for octal and others do not.
func looksOctal(text string) bool {
	digits := strings.TrimLeft(text, "+-")
	return len(digits) > 1 && digits[0] == '0' && strings.Trim(digits[1:], "0123456789_oxb") == ""
}

func setBool(v reflect.Value, text string) error {
	switch text {
	case "true", "True", "TRUE":
		v.SetBool(true)
	case "false", "False", "FALSE":
		v.SetBool(false)
	case "yes", "Yes", "YES", "on", "On", "ON", "1":
		return fmt.Errorf("%s is not a boolean; did you mean true?", clip(text))
	case "no", "No", "NO", "off", "Off", "OFF", "0":
		return fmt.Errorf("%s is not a boolean; did you mean false?", clip(text))
	default:
		return fmt.Errorf("%s is not a boolean; legal: true, false", clip(text))
	}
	return nil
}

// setInt decodes a whole decimal number into a signed or unsigned value of any size.
func setInt(v reflect.Value, s *shape, text string) error {
	if looksOctal(text) {
		return fmt.Errorf("%s can be read as octal or hexadecimal; write a decimal number without leading zero", clip(text))
	}
	bits := s.typ.Bits()
	legal := fmt.Sprintf("; legal: %d to %d", int64(-1)<<(bits-1), uint64(1)<<(bits-1)-1)
	var err error
	if s.leaf == uintLeaf {
		legal = fmt.Sprintf("; legal: 0 to %d", uint64(1)<<bits-1)
		var u uint64
		if u, err = strconv.ParseUint(text, 10, bits); err == nil {
			v.SetUint(u)
		}
	} else {
		var i int64
		if i, err = strconv.ParseInt(text, 10, bits); err == nil {
			v.SetInt(i)
		}
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, strconv.ErrRange) || strings.Trim(text, "-0123456789") == "":
		return fmt.Errorf("%s is out of range%s", clip(text), legal)
	default:
		return fmt.Errorf("%s is not a whole number", clip(text))
	}
}

func setFloat(v reflect.Value, text string) error {
	if looksOctal(text) || strings.Trim(text, "+-.0123456789eE") != "" {
		return fmt.Errorf("%s is not a decimal number", clip(text))
	}
	f, err := strconv.ParseFloat(text, 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return fmt.Errorf("%s is out of range", clip(text))
	case err != nil:
		return fmt.Errorf("%s is not a decimal number", clip(text))
	}
	v.SetFloat(f)
	return nil
}
