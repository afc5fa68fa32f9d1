// What both clients share: the setup from the command line, a person who signs in at once, and one line for each result.
import { createInterface } from 'node:readline'

export const setup = JSON.parse(process.argv[2])
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]()

// The provider signs in whom the request's `login_hint` names (--auto-login) and sends him to the application.
export async function visit(url) {
  const response = await fetch(url, { redirect: 'manual' })
  const location = response.headers.get('location')
  if (!location) throw new Error(`no redirect: ${response.status} ${await response.text()}`)
  return new URL(location)
}

// The test, which has a browser, allows the device.
export async function allowDevice(url) {
  console.log(JSON.stringify({ allow: url }))
  await answers.next()
}

export function expect(condition, what) {
  if (!condition) throw new Error(what)
}

export async function refused(action, error) {
  try {
    await action()
  } catch (problem) {
    const found = problem.error ?? problem.cause?.error ?? problem.cause?.[0]?.parameters?.error
    expect(!error || found === error, `refused with ${found ?? problem}, not ${error}`)
    return
  }
  throw new Error(`not refused: ${action}`)
}

export async function run(scenarios) {
  for (const [name, scenario] of Object.entries(scenarios)) {
    let problem = null
    try {
      await scenario()
    } catch (error) {
      problem = `${error} ${error.code ?? ''} ${JSON.stringify(error.cause ?? null)} ${error.error_description ?? ''}`
    }
    console.log(JSON.stringify({ scenario: name, problem }))
  }
  process.exit(0)
}
