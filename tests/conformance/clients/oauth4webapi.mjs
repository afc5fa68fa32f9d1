// oauth4webapi 3: the same author's low-level library, which checks every response against its RFC.
import * as oauth from 'oauth4webapi'
import { allowDevice, expect, refused, run, setup, visit } from './scenarios.mjs'

const insecure = { [oauth.allowInsecureRequests]: true }
const issuer = new URL(setup.issuer)
const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, insecure))
const web = { client_id: 'web' }
const secret = oauth.ClientSecretPost(setup.secret)
const machine = { client_id: 'machine' }
const device = { client_id: 'device' }
const REDIRECT = 'https://web.example/callback'

async function flow({ par = false, DPoP } = {}) {
  const verifier = oauth.generateRandomCodeVerifier()
  const state = oauth.generateRandomState()
  const nonce = oauth.generateRandomNonce()
  let url = new URL(as.authorization_endpoint)
  const parameters = new URLSearchParams({
    client_id: web.client_id, redirect_uri: REDIRECT, response_type: 'code', scope: 'openid profile offline_access',
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256', state, nonce,
    login_hint: 'alice',
  })
  if (par) {
    const pushed = await oauth.processPushedAuthorizationResponse(
      as, web, await oauth.pushedAuthorizationRequest(as, web, secret, parameters, { ...insecure, DPoP }))
    url.search = new URLSearchParams({ client_id: web.client_id, request_uri: pushed.request_uri })
  } else {
    url.search = parameters
  }
  const checked = oauth.validateAuthResponse(as, web, await visit(url), state)
  const redeem = () => oauth.authorizationCodeGrantRequest(as, web, secret, checked, REDIRECT, verifier, { ...insecure, DPoP })
  const read = async () => oauth.processAuthorizationCodeResponse(as, web, await redeem(), { expectedNonce: nonce, requireIdToken: true })
  try {
    return await read()
  } catch (error) {
    if (!DPoP || !oauth.isDPoPNonceError(error)) throw error
    return await read()
  }
}

await run({
  async discovery() {
    expect(as.issuer === setup.issuer, 'issuer')
    const other = await oauth.discoveryRequest(issuer, { ...insecure, algorithm: 'oauth2' })
    expect((await oauth.processDiscoveryResponse(issuer, other)).token_endpoint === as.token_endpoint, 'RFC 8414')
  },
  async code_with_pkce() {
    const tokens = await flow()
    const claims = oauth.getValidatedIdTokenClaims(tokens)
    const answer = await oauth.userInfoRequest(as, web, tokens.access_token, insecure)
    expect((await oauth.processUserInfoResponse(as, web, claims.sub, answer)).sub === claims.sub, 'userinfo')
  },
  async id_token_signature() {
    const verifier = oauth.generateRandomCodeVerifier()
    const url = new URL(as.authorization_endpoint)
    url.search = new URLSearchParams({
      client_id: 'web', redirect_uri: REDIRECT, response_type: 'code', scope: 'openid',
      code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
      login_hint: 'alice',
    })
    const checked = oauth.validateAuthResponse(as, web, await visit(url), oauth.expectNoState)
    const response = await oauth.authorizationCodeGrantRequest(as, web, secret, checked, REDIRECT, verifier, insecure)
    await oauth.processAuthorizationCodeResponse(as, web, response)
    await oauth.validateApplicationLevelSignature(as, response, insecure)
  },
  async access_token_rfc9068() {
    const tokens = await flow()
    const request = new Request('https://api.example/', { headers: { authorization: `Bearer ${tokens.access_token}` } })
    const claims = await oauth.validateJwtAccessToken(as, request, 'https://api.example', insecure)
    expect(claims.client_id === 'web', 'client_id')
  },
  async refresh() {
    const tokens = await flow()
    const again = () => oauth.refreshTokenGrantRequest(as, web, secret, tokens.refresh_token, insecure)
    expect((await oauth.processRefreshTokenResponse(as, web, await again())).refresh_token, 'rotated')
    await refused(async () => oauth.processRefreshTokenResponse(as, web, await again()), 'invalid_grant')
  },
  async par() {
    expect((await flow({ par: true })).access_token, 'access token')
  },
  async dpop() {
    const DPoP = oauth.DPoP(web, await oauth.generateKeyPair('ES256'))
    const tokens = await flow({ DPoP })
    expect(tokens.token_type === 'dpop', `token_type ${tokens.token_type}`)
    const ask = () => oauth.userInfoRequest(as, web, tokens.access_token, { ...insecure, DPoP })
    const sub = oauth.getValidatedIdTokenClaims(tokens).sub
    try {
      await oauth.processUserInfoResponse(as, web, sub, await ask())
    } catch (error) {
      if (!oauth.isDPoPNonceError(error)) throw error
      await oauth.processUserInfoResponse(as, web, sub, await ask())
    }
  },
  async client_credentials() {
    const response = await oauth.clientCredentialsGrantRequest(
      as, machine, oauth.ClientSecretBasic(setup.secret), { scope: 'orders:read' }, insecure)
    expect((await oauth.processClientCredentialsResponse(as, machine, response)).scope === 'orders:read', 'scope')
  },
  async introspection() {
    const tokens = await flow()
    const response = await oauth.introspectionRequest(as, web, secret, tokens.access_token, insecure)
    expect((await oauth.processIntrospectionResponse(as, web, response)).active, 'active')
  },
  async revocation() {
    const tokens = await flow()
    await oauth.processRevocationResponse(await oauth.revocationRequest(as, web, secret, tokens.refresh_token, insecure))
    const response = await oauth.introspectionRequest(as, web, secret, tokens.access_token, insecure)
    expect(!(await oauth.processIntrospectionResponse(as, web, response)).active, 'cascade')
  },
  async device() {
    const started = await oauth.processDeviceAuthorizationResponse(as, device, await oauth.deviceAuthorizationRequest(
      as, device, oauth.None(), { scope: 'openid orders:read' }, insecure))
    const poll = async () => oauth.processDeviceCodeResponse(
      as, device, await oauth.deviceCodeGrantRequest(as, device, oauth.None(), started.device_code, insecure))
    await refused(poll, 'authorization_pending')
    await refused(poll, 'slow_down')
    await allowDevice(started.verification_uri_complete)
    await new Promise((done) => setTimeout(done, 10_500))
    expect((await poll()).access_token, 'access token')
  },
})
