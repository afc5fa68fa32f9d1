// openid-client 6: certified relying-party library for Node.
import * as client from 'openid-client'
import { allowDevice, expect, refused, run, setup, visit } from './scenarios.mjs'

const issuer = new URL(setup.issuer)
const insecure = { execute: [client.allowInsecureRequests] }
const web = await client.discovery(issuer, 'web', setup.secret, undefined, insecure)
const basic = await client.discovery(issuer, 'web', undefined, client.ClientSecretBasic(setup.secret), insecure)
const spa = await client.discovery(issuer, 'spa', undefined, client.None(), insecure)
const machine = await client.discovery(issuer, 'machine', setup.secret, undefined, insecure)
const device = await client.discovery(issuer, 'device', undefined, client.None(), insecure)
const key = await crypto.subtle.importKey(
  'jwk', setup.private_jwk, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])
const signed = await client.discovery(
  issuer, 'signed', undefined, client.PrivateKeyJwt({ key, kid: setup.private_jwk.kid }), insecure)

async function begin(config, redirectUri, extra = {}) {
  const verifier = client.randomPKCECodeVerifier()
  const checks = { pkceCodeVerifier: verifier, expectedState: client.randomState(), expectedNonce: client.randomNonce() }
  const parameters = {
    redirect_uri: redirectUri,
    login_hint: 'alice',
    scope: 'openid profile offline_access',
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state: checks.expectedState,
    nonce: checks.expectedNonce,
    ...extra,
  }
  return { checks, parameters }
}

async function flow(config, redirectUri, options = {}) {
  const { checks, parameters } = await begin(config, redirectUri, options.extra)
  const url = await (options.build ?? client.buildAuthorizationUrl)(config, parameters)
  const answer = await visit(url)
  return client.authorizationCodeGrant(config, answer, { ...checks, idTokenExpected: true, ...options.checks }, {}, options)
}

const WEB = 'https://web.example/callback'
const SPA = 'http://localhost:5173/callback'

await run({
  async discovery() {
    const metadata = web.serverMetadata()
    expect(metadata.issuer === setup.issuer, 'issuer')
    expect(metadata.supportsPKCE(), 'PKCE')
    await client.discovery(issuer, 'web', setup.secret, undefined, { ...insecure, algorithm: 'oauth2' })
  },
  async code_with_pkce() {
    for (const [config, uri] of [[web, WEB], [basic, WEB], [spa, SPA]]) {
      const tokens = await flow(config, uri)
      expect(tokens.claims().iss === setup.issuer, 'iss')
      const user = await client.fetchUserInfo(config, tokens.access_token, tokens.claims().sub)
      expect(user.name === 'Alice Ahlberg', 'userinfo')
    }
  },
  async max_age() {
    const tokens = await flow(web, WEB, { extra: { max_age: '600' }, checks: { maxAge: 600 } })
    expect(Math.abs(tokens.claims().auth_time - Date.now() / 1000) < 30, 'auth_time')
  },
  async an_error_answer() {
    const { checks, parameters } = await begin(web, WEB, { prompt: 'none' })
    const answer = await visit(client.buildAuthorizationUrl(web, parameters))
    await refused(() => client.authorizationCodeGrant(web, answer, checks), 'login_required')
  },
  async refresh() {
    const tokens = await flow(spa, SPA)
    const next = await client.refreshTokenGrant(spa, tokens.refresh_token)
    expect(next.refresh_token && next.refresh_token !== tokens.refresh_token, 'rotated')
    await refused(() => client.refreshTokenGrant(spa, tokens.refresh_token), 'invalid_grant')
    await refused(() => client.refreshTokenGrant(spa, next.refresh_token), 'invalid_grant')
  },
  async par() {
    const tokens = await flow(web, WEB, { build: client.buildAuthorizationUrlWithPAR })
    expect(tokens.claims().aud === 'web', 'aud')
  },
  async dpop() {
    const keys = await client.randomDPoPKeyPair('ES256', { extractable: true })
    const DPoP = client.getDPoPHandle(spa, keys)
    const tokens = await flow(spa, SPA, { DPoP })
    expect(tokens.token_type === 'dpop', `token_type ${tokens.token_type}`)
    const user = await client.fetchUserInfo(spa, tokens.access_token, tokens.claims().sub, { DPoP })
    expect(user.sub === tokens.claims().sub, 'userinfo')
    await refused(() => client.fetchUserInfo(spa, tokens.access_token, tokens.claims().sub))
    const next = await client.refreshTokenGrant(spa, tokens.refresh_token, {}, { DPoP })
    await refused(() => client.refreshTokenGrant(spa, next.refresh_token), 'invalid_dpop_proof')
  },
  async client_credentials() {
    const tokens = await client.clientCredentialsGrant(machine, { scope: 'orders:read' })
    expect(tokens.scope === 'orders:read' && !tokens.refresh_token && !tokens.id_token, 'tokens')
    await refused(() => client.clientCredentialsGrant(machine, { scope: 'openid' }), 'invalid_scope')
  },
  async private_key_jwt() {
    const tokens = await client.clientCredentialsGrant(signed, { scope: 'orders:read' })
    expect(tokens.access_token, 'access token')
  },
  async request_object() {
    const { checks, parameters } = await begin(signed, 'https://signed.example/callback')
    const url = await client.buildAuthorizationUrlWithJAR(signed, { ...parameters, scope: 'openid' }, { key, kid: setup.private_jwk.kid })
    const answer = await visit(url)
    const tokens = await client.authorizationCodeGrant(signed, answer, checks)
    expect(tokens.claims().aud === 'signed', 'aud')
  },
  async introspection() {
    const { access_token } = await flow(web, WEB)
    const state = await client.tokenIntrospection(web, access_token)
    expect(state.active && state.client_id === 'web', 'active')
    expect((await client.tokenIntrospection(web, 'nonsense')).active === false, 'inactive')
  },
  async revocation() {
    const tokens = await flow(web, WEB)
    await client.tokenRevocation(web, tokens.refresh_token)
    expect((await client.tokenIntrospection(web, tokens.access_token)).active === false, 'cascade')
    await client.tokenRevocation(web, 'nonsense')
  },
  async device() {
    const started = await client.initiateDeviceAuthorization(device, { scope: 'openid orders:read' })
    await allowDevice(started.verification_uri_complete)
    const tokens = await client.pollDeviceAuthorizationGrant(device, started)
    expect(tokens.claims().aud === 'device', 'aud')
  },
  async end_session() {
    const tokens = await flow(web, WEB)
    const url = client.buildEndSessionUrl(web, {
      post_logout_redirect_uri: 'https://web.example/bye', id_token_hint: tokens.id_token, state: 's-1',
    })
    const response = await fetch(url, { redirect: 'manual' })
    expect(response.headers.get('location') === 'https://web.example/bye?state=s-1', `${response.headers.get('location')}`)
  },
  async registration() {
    const config = await client.dynamicClientRegistration(
      issuer,
      { redirect_uris: ['https://new.example/callback'], scope: 'openid profile', client_name: 'New',
        token_endpoint_auth_method: 'client_secret_post' },
      undefined,
      { ...insecure, initialAccessToken: setup.registration_token },
    )
    const { checks, parameters } = await begin(config, 'https://new.example/callback', { scope: 'openid' })
    const answer = await visit(client.buildAuthorizationUrl(config, parameters))
    const tokens = await client.authorizationCodeGrant(config, answer, checks)
    expect(tokens.claims().aud === config.clientMetadata().client_id, 'aud')
  },
})
