# The image holds one static program, no shell, and runs it as nobody in particular. The dashboard is in the program:
# dashboard/dist is part of the repository.
FROM golang:1.26-alpine AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=unknown
RUN CGO_ENABLED=0 go build -buildvcs=false -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/pulso ./cmd/pulso \
 && mkdir /out/data

FROM scratch
COPY --from=build /out/pulso /pulso
# A named volume takes the owner of what it covers.
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
VOLUME /data
EXPOSE 1883 8080
ENV PULSO_DATA=/data PULSO_MQTT=0.0.0.0:1883 PULSO_HTTP=0.0.0.0:8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["/pulso", "check", "--health", "http://127.0.0.1:8080/readyz"]
ENTRYPOINT ["/pulso"]
CMD ["serve"]
