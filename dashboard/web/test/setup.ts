import { speak } from "../src/i18n";

await speak("en");
