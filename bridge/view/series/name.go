package series

import (
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// MaxLabelBytes bounds the bytes of a series' labels: every query that touches the series reads them.
const MaxLabelBytes = 4096

// Name is the name of a metric in PromQL: the last key of its path that is no index, in lower-case snake_case.
func Name(path string) string {
	key := ""
	for rest := path; key == "" && rest != ""; {
		var last string
		if dot := strings.LastIndexByte(rest, '.'); dot >= 0 {
			rest, last = rest[:dot], rest[dot+1:]
		} else {
			rest, last = "", rest
		}
		if strings.Trim(last, "0123456789") != "" {
			key = last
		}
	}
	name := snake(key)
	switch {
	case name == "":
		return "value"
	case name[0] >= '0' && name[0] <= '9':
		return "_" + name
	case slices.Contains(reserved, name):
		return name + "_"
	default:
		return name
	}
}

// reserved are words that PromQL does not take for the name of a metric.
var reserved = []string{"atan2", "bool", "fill_right", "group_left", "group_right", "ignoring", "inf", "nan", "on"}

// snake writes a key in lower case, with underscores where words meet and for what PromQL does not allow.
func snake(key string) string {
	b := make([]byte, 0, len(key)+4)
	separate := func() {
		if len(b) > 0 && b[len(b)-1] != '_' {
			b = append(b, '_')
		}
	}
	at := func(i int) byte {
		if i < 0 || i >= len(key) {
			return 0
		}
		return key[i]
	}
	for i := range len(key) {
		switch c := key[i]; {
		case isLower(c), isDigit(c):
			b = append(b, c)
		case isUpper(c):
			// "tempC", "RSSIValue" and "CO2Level" have two words, "BME280" and "PM10" one.
			if isLower(at(i-1)) || isLower(at(i+1)) && (isUpper(at(i-1)) || isDigit(at(i-1))) {
				separate()
			}
			b = append(b, c-'A'+'a')
		default:
			separate()
		}
	}
	return strings.TrimRight(string(b), "_")
}

func isLower(c byte) bool { return c >= 'a' && c <= 'z' }
func isUpper(c byte) bool { return c >= 'A' && c <= 'Z' }
func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// The names of the labels.
const (
	LabelDevice = "device"
	LabelField  = "field"
	LabelKind   = "kind"
	LabelTopic  = "topic"
	LabelUnit   = "unit"
)

// Labels are the labels of a series in the storage; false if they are too long to be kept.
func Labels(device, topic, field, unit, kind string) (labels.Labels, bool) {
	name := Name(field)
	if len(name)+len(device)+len(topic)+len(field)+len(unit)+len(kind) > MaxLabelBytes {
		return labels.EmptyLabels(), false
	}
	b := labels.NewScratchBuilder(6)
	add := func(name, value string) { // in the order of the names
		if value != "" {
			b.Add(name, strings.ToValidUTF8(value, "\uFFFD"))
		}
	}
	add(model.MetricNameLabel, name)
	add(LabelDevice, device)
	add(LabelField, field)
	add(LabelKind, kind)
	add(LabelTopic, topic)
	add(LabelUnit, unit)
	return b.Labels(), true
}
