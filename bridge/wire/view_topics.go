package wire

import (
	"strconv"

	pulsov1 "pulso/internal/gen/pulso/v1"
)

// appendTopicsJSON appends the members "topics" and "activity", each if there is something in it.
func appendTopicsJSON(dst []byte, f *pulsov1.Frame) []byte {
	if topics := f.GetTopics(); len(topics) > 0 {
		dst = appendKey(dst, len(dst), `"topics":[`)
		for i, t := range topics {
			dst = strconv.AppendUint(append(appendComma(dst, i), '['), uint64(t.GetTopic()), 10)
			dst = AppendString(append(dst, ','), t.GetName())
			dst = append(AppendString(append(dst, ','), t.GetDevice()), ']')
		}
		dst = append(dst, ']')
	}
	if activity := f.GetActivity(); len(activity) > 0 {
		dst = appendKey(dst, len(dst), `"activity":[`)
		for i, a := range activity {
			dst = appendActivityJSON(appendComma(dst, i), a)
		}
		dst = append(dst, ']')
	}
	return dst
}

// appendActivityJSON appends [topic, time, events, rate, bytes, preview].
func appendActivityJSON(dst []byte, a *pulsov1.TopicActivity) []byte {
	dst = strconv.AppendUint(append(dst, '['), uint64(a.GetTopic()), 10)
	dst = strconv.AppendInt(append(dst, ','), a.GetTime(), 10)
	dst = strconv.AppendUint(append(dst, ','), a.GetEvents(), 10)
	dst = AppendFloat(append(dst, ','), a.GetRate())
	dst = strconv.AppendUint(append(dst, ','), uint64(a.GetBytes()), 10)
	return append(AppendString(append(dst, ','), a.GetPreview()), ']')
}
