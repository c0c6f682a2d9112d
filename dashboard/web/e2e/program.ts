import { type ChildProcess, spawn } from "node:child_process";

/** Program is a process of pulso's own binary (PULSO_BIN), which ends with the test that started it. */
export class Program {
  readonly #process: ChildProcess;
  readonly #ended: Promise<void>;
  said = "";

  constructor(...args: string[]) {
    this.#process = spawn(process.env.PULSO_BIN ?? "", args, { stdio: ["ignore", "pipe", "pipe"] });
    const hear = (text: Buffer) => {
      this.said = (this.said + text.toString()).slice(-20_000);
    };
    this.#process.stdout?.on("data", hear);
    this.#process.stderr?.on("data", hear);
    this.#ended = new Promise((done) => this.#process.on("exit", () => done()));
    const kill = () => this.#process.kill("SIGKILL");
    process.on("exit", kill);
    void this.#ended.then(() => process.off("exit", kill));
  }

  /** end stops the process and waits until it is gone; SIGKILL gives it no time for anything. */
  async end(signal: NodeJS.Signals = "SIGINT"): Promise<void> {
    this.#process.kill(signal);
    await this.#ended;
  }
}

/** serve starts a hub at the address of PULSO_URL, and returns when it is ready. */
export async function serve(data: string, ...flags: string[]): Promise<Program> {
  const { host, origin } = new URL(process.env.PULSO_URL ?? "");
  const mqtt = process.env.PULSO_MQTT ?? "";
  const hub = new Program("serve", "--mqtt", mqtt, "--http", host, "--data", data, ...flags);
  for (const until = Date.now() + 20_000; Date.now() < until; await new Promise((done) => setTimeout(done, 20))) {
    const answer = await fetch(`${origin}/readyz`).catch(() => undefined);
    if (answer?.ok) return hub;
  }
  throw new Error(`the hub did not start: ${hub.said}`);
}

/** fleet starts simulated devices and returns when the hub knows them all. */
export async function fleet(devices: number, ...flags: string[]): Promise<Program> {
  const sim = new Program(
    ...["sim", "fleet", "--broker", `tcp://${process.env.PULSO_MQTT}`, "--flaky", "0"],
    ...["--devices", String(devices), "--connect-rate", "2000", ...flags],
  );
  await online(devices, sim);
  return sim;
}

/** online waits until so many devices are. */
export async function online(devices: number, sim: Program, timeout = 60_000): Promise<void> {
  const { origin } = new URL(process.env.PULSO_URL ?? "");
  let count = 0;
  for (const until = Date.now() + timeout; Date.now() < until; await new Promise((done) => setTimeout(done, 250))) {
    count = await metric(origin, 'pulso_devices_known{status="online"}');
    if (count >= devices) return;
  }
  throw new Error(`${count} of ${devices} devices came online: ${sim.said}`);
}

/** metric is a figure of the hub's: one series, or the sum of all that a name has. */
export async function metric(origin: string, series: string): Promise<number> {
  const lines = (await (await fetch(`${origin}/metrics`)).text()).split("\n");
  return lines
    .filter((line) => line.startsWith(`${series} `) || line.startsWith(`${series}{`))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
}
