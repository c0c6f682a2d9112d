package bench

import (
	"bytes"

	"google.golang.org/protobuf/encoding/protowire"
)

// Fields of the stream's protobuf form that hold values (proto/pulso/v1/stream.proto).
const (
	messageSnapshot, messageFrame = 9, 10
	frameValues                   = 4
	valuesSeries, valuesCounts    = 2, 7
)

// valuesIn counts the values that a message of the stream carries, and those that they stand for: a value may be the last of several.
func valuesIn(message []byte, proto bool) (values, standFor int64) {
	if proto {
		return valuesInProto(message)
	}

	return valuesInJSON(message)
}

// valuesInJSON reads the rows [series,time,value] and [series,time,last,min,max,count].
func valuesInJSON(message []byte) (values, standFor int64) {
	_, rest, _ := bytes.Cut(message, []byte(`"values":[`))

	for len(rest) > 0 && rest[0] == '[' {
		row, after, complete := bytes.Cut(rest[1:], []byte{']'})
		if !complete {
			return values, standFor
		}

		values++

		count := int64(1)
		if bytes.Count(row, []byte{','}) == 5 {
			n, _ := digits(row[bytes.LastIndexByte(row, ',')+1:])
			count = max(n, 1)
		}

		standFor += count
		rest = bytes.TrimPrefix(after, []byte{','})
	}

	return values, standFor
}

// valuesInProto counts the columns' elements.
func valuesInProto(message []byte) (values, standFor int64) {
	for _, number := range []protowire.Number{messageSnapshot, messageFrame} {
		fields(message, number, func(frame []byte) {
			fields(frame, frameValues, func(column []byte) {
				fields(column, valuesSeries, func(packed []byte) {
					n := int64(len(packed))

					for _, b := range packed {
						n -= int64(b >> 7) // each element ends with a byte below 128
					}

					values += n
					standFor += n
				})
				fields(column, valuesCounts, func(packed []byte) {
					for len(packed) > 0 {
						count, n := protowire.ConsumeVarint(packed)
						if n < 0 {
							return
						}

						standFor += max(int64(count&0xffffffff), 1) - 1
						packed = packed[n:]
					}
				})
			})
		})
	}

	return values, standFor
}

// fields calls found for each field of the number that holds bytes.
func fields(message []byte, number protowire.Number, found func([]byte)) {
	for len(message) > 0 {
		num, typ, n := protowire.ConsumeTag(message)
		if n < 0 {
			return
		}

		message = message[n:]

		size := protowire.ConsumeFieldValue(num, typ, message)
		if size < 0 {
			return
		}

		if num == number && typ == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(message)
			found(value)
		}

		message = message[size:]
	}
}
